// Does what is left only fork and end, for ever? Such a chain never comes to rest, and no grace would change that.
#pragma once

#include "harness/census/walk.hpp"

#include <cstddef>
#include <vector>

namespace pidleak::guard {

class ForkChain {
public:
  /// Takes down who is there now, below this process.
  ForkChain();
  /// Reaps the children that have exited, and counts them.
  void reap();
  /// Many have come and gone since nobody was there any more who was at first. (A script that cleans up may start as
  /// many: but it stays while it does.)
  bool shown() const;
  /// Since then.
  std::size_t come_and_gone() const { return come_and_gone_; }

private:
  std::vector<census::Member> first_;
  std::size_t come_and_gone_ = 0;
};

} // namespace pidleak::guard

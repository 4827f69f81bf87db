// Does what is left only fork and end, for ever? Such a chain never comes to rest, and no grace would change that.
#pragma once

#include "harness/census/walk.hpp"

#include <cstddef>
#include <vector>

namespace pidleak::guard {

class ForkChain {
public:
  /// Takes down which processes are there now.
  explicit ForkChain(const census::Scope &scope) : first_(census::walk_once(scope)) {}
  /// So many children of the root have ended and were reaped since the last time.
  void note_reaped(std::size_t count);
  /// Many have come and gone since the last of the first has ended. (A script that cleans up may start as many: but it
  /// stays while it does.)
  bool shown() const;
  /// Since then.
  std::size_t come_and_gone() const { return come_and_gone_; }

private:
  std::vector<census::Member> first_;
  std::size_t come_and_gone_ = 0;
};

} // namespace pidleak::guard

// Those that have not exited yet, held so that each exit can be waited for.
#pragma once

#include "harness/census/walk.hpp"
#include "harness/os/process_ref.hpp"

#include <vector>

namespace pidleak::census {

/// Descriptors are few, so that of very many only the first are held: of the others, one has to look again.
class Leaving {
public:
  explicit Leaving(const std::vector<Member> &members);
  /// A pidfd each, readable once it has exited. As long as this object is there.
  const std::vector<int> &exits() const { return exits_; }

private:
  std::vector<os::ProcessRef> held_;
  std::vector<int> exits_;
};

} // namespace pidleak::census

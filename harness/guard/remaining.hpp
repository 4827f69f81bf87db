// What a command has left below a process: the wait until it has left or never will, the census, and the report.
#pragma once

#include "harness/census/tree.hpp"
#include "harness/guard/fork_chain.hpp"
#include "harness/guard/guard.hpp"

namespace pidleak::guard {

/// Where to look, and what the one who asks has in hand.
struct Below {
  census::TreeOptions tree;
  /// Lets some time pass, or until one of the descriptors is readable.
  std::function<void(std::chrono::microseconds, std::vector<int> descriptors)> wait;
  /// Reaps what has ended, where that is the caller's to do; how many were reaped since the last time.
  std::function<std::size_t()> reap;
  /// Whether nothing is left, zombies included, for certain: by waitid(2), which sees what /proc does not show.
  std::function<bool()> nothing_is_left;
  /// The grace is over sooner: a user asks for that.
  std::function<bool()> asked_to_end;
};

/// Fills in what remains, and why it does, until the grace is over at the latest. A look that fails is taken again; if
/// all do until then, the report says that something remains, and why it could not be looked at.
void find_remaining(const Below &below, milliseconds grace, reports::Report &report);

} // namespace pidleak::guard

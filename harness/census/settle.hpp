// The wait until everything has left that may not stay, or what is left will never move again.
//
// Replays, guard, the watching of a service and the library wait in this way and differ in what they look at.
#pragma once

#include "harness/census/quiescence.hpp"
#include "harness/census/walk.hpp"

#include <boost/describe/enum.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::census {

/// What ended the wait for processes to leave.
BOOST_DEFINE_ENUM_CLASS(SettledBy, all_gone,
                        quiescence, // all that is left waits, without a timer, for one another
                        deadline)   // something might still have moved when the time was over

/// One look at what is there.
struct Sight {
  Walk walk;
  std::vector<Member> to_leave = {}; // who has yet to leave; those that may stay are not among them
  /// What was seen is about to change by what reaps: look again after that time.
  std::optional<std::chrono::microseconds> again = {};
  std::string no_rest = {}; // why there can be no claim that these are stuck; empty: at_rest() is asked
};

/// What settle() asks, and is told.
struct Settling {
  /// Looks.
  std::function<Sight()> see;
  /// Whether what is left is stuck for good.
  std::function<Rest(const Walk &)> rest;
  /// Takes in what happens for some time, or until one of the pidfds is readable; true if something was said that may
  /// change what is seen. With a time of 0 it must not block.
  std::function<bool(std::chrono::microseconds, const std::vector<int> &pidfds)> wait;
  /// Besides the processes: something else that must have happened. Empty: nothing.
  std::function<bool()> done = {};
  /// Nothing more is waited for.
  std::function<bool()> is_over;
};

struct Settled {
  Walk walk;
  SettledBy by = SettledBy::deadline;
  std::string why_not_quiescent; // by deadline: what kept the wait from being called endless
};

/// Event-driven: by what is said, and by exits. Throws what its functions throw.
Settled settle(const Settling &settling);

} // namespace pidleak::census

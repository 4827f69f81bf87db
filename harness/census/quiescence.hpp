// Are these processes stuck for good? A fact after milliseconds where it can be one, and no claim where it can't.
//
// A set of processes is at rest when every thread of every one waits, without a timer, for something that only
// another process of the set could bring about. To know that all waited at one instant, everything is collected
// twice: the members, each thread's state, its count of context switches, its system call with its arguments, and
// its pending signals. If both are the same, nothing ran in between.
//
// What can't be seen from outside, and so never leads to a claim: alarm(2) and setitimer(2), unless /proc/timer_list
// shows alarms to this user; what is behind a descriptor that a process outside may hold too (boundary.hpp); the other
// end of a socket that is no unix socket; a terminal; memory shared with processes outside; what a process waits for
// that is no child of it (a tracer); signals that the kernel sends on its own (SIGIO, leases). An eventfd that the
// kernel signals is known by what it takes to have that done, but for the thresholds of memory cgroups of version 1.
#pragma once

#include "harness/census/boundary.hpp"
#include "harness/census/thread_look.hpp"
#include "harness/census/walk.hpp"

#include <optional>
#include <string>

namespace pidleak::census {

struct Rest {
  bool certain = false;
  std::string why_not;             // the first thing that kept it from being certain
  std::optional<Mover> mover = {}; // if that was a thread which goes on by itself
  /// What was found to be held outside though the boundary did not know of it: it may as well, the next time.
  std::string held_outside = {};
};

/// Whether `members`, all of them descendants of `scope.root` and complete, wait at one instant, each without a timer.
/// It costs a small part of at_rest(), and says less: an alarm, a timer behind a descriptor or a process outside may
/// still wake them.
Rest stand_still(const std::vector<Member> &members, const Scope &scope);

/// Asks whether `members`, all of them descendants of `scope.root` and complete, are at rest. They are walked to again
/// at the end.
Rest at_rest(const std::vector<Member> &members, const Scope &scope, const Boundary &boundary);

} // namespace pidleak::census

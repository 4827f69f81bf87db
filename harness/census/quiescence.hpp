// Are these processes stuck for good? A fact after milliseconds where it can be one, and no claim where it can't.
//
// A set of processes is at rest when every thread of every one waits, without a timer, for something that only
// another process of the set could bring about. To know that all waited at one instant, everything is collected
// twice: the members, each thread's state, its count of context switches, its system call with its arguments, and
// its pending signals. If both are the same, nothing ran in between.
//
// What can't be seen from outside, and so never leads to a claim: alarm(2) and setitimer(2), unless this user may
// read /proc/timer_list; the other end of a socket that is no unix socket; a terminal; memory shared with processes
// outside.
#pragma once

#include "harness/census/walk.hpp"

#include <string>

namespace pidleak::census {

struct Rest {
  bool certain = false;
  std::string why_not; // the first thing that kept it from being certain
};

/// Asks whether `members`, all of them descendants of the caller and complete, are at rest. `scratch`: a directory
/// whose FIFOs and sockets nobody outside opens; `root`: what the members descend from, looked at again at the end.
Rest at_rest(const std::vector<Member> &members, const Scope &scope, const std::string &scratch);

} // namespace pidleak::census

// Ending every descendant of this process: asked first, then without being asked.
#pragma once

#include "harness/base/deadline.hpp"

#include <sys/types.h>

#include <functional>
#include <set>
#include <vector>

namespace pidleak::os {

/// What end_all_children() came to.
struct Ending {
  bool all_ended = false;            // none is left that may not stay
  std::vector<pid_t> of_others = {}; // not ended: another user's
  bool asked = false;                // SIGTERM came first
  /// Who has ended after the one or the other. Not those that went before it was their turn.
  std::vector<pid_t> by_sigterm = {}, by_sigkill = {};
};

/// What a program takes at most for ending what is left below it.
constexpr std::chrono::seconds end_bound{5};

/// Sends SIGKILL to every child, and to those that their death hands over, until there is none or the deadline has
/// passed. Each is signalled through a pidfd, and only where the kernel says of that pidfd that it is a child of this
/// process. Those in `spared` stay, and what is below them is ended (their orphans come here). Children of other users
/// stay, and are named. Whatever a single look meets (no descriptors, no memory) is tried again until the deadline.
/// Throws nothing.
///
/// For `ask_first` they get SIGTERM instead, each once, and SIGCONT if they are stopped; what supervises others before
/// these: what is below a child gets it in the second half of that time, or as soon as it is handed over. It is over
/// sooner where all that are left ignore SIGTERM, or `cut_short` says so, which is asked every 20 ms at least.
///
/// Also where each process forks the next and exits at once. The current one is a child of this process as soon as its
/// parent is gone, and SIGKILL keeps a fork(2) from completing that is under way; so one kill that comes in time ends
/// the chain, and the loop does not wait as long as it meets new processes: it tries every few microseconds.
/// Measured: chains by fork(2), and by raw clones that share memory, which are ten times as fast, are over within 50
/// ms.
Ending end_all_children(Deadline deadline, const std::set<pid_t> &spared = {}, milliseconds ask_first = {},
                        const std::function<bool()> &cut_short = {});

} // namespace pidleak::os

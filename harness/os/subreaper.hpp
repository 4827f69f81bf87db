// Adopting, reaping and ending every descendant of this process.
#pragma once

#include "harness/base/deadline.hpp"

#include <sys/types.h>

#include <cstddef>
#include <set>
#include <vector>

namespace pidleak::os {

/// PR_SET_CHILD_SUBREAPER (Linux 3.4): orphans below this process become its children. Throws SyscallError.
void become_subreaper();
bool is_subreaper();
/// Orphans go to the next subreaper above again; those that were adopted stay. Throws SyscallError.
void cease_to_be_subreaper();

/// Whether this process has any child, zombies included.
bool has_children();

/// SIGKILL from the kernel when the thread that forked this process ends (PR_SET_PDEATHSIG). Reaches the init of a
/// PID namespace too. Not inherited by children. The caller must check afterwards that the parent still lives.
void die_with_parent();

/// Reaps what has exited, without blocking, and not without end: some thousands at once. True if no child is left at
/// all (ECHILD). Adds their number to `reaped`, if that is not null.
bool reap_exited_children(std::size_t *reaped = nullptr);

/// What end_all() came to.
struct Ending {
  bool all_ended = false;            // none is left that may not stay
  std::vector<pid_t> of_others = {}; // not ended: another user's
};

/// What a program takes at most for ending what is left below it.
constexpr std::chrono::seconds end_bound{5};

/// Sends SIGKILL to every child, and to those that their death hands over, until there is none or the deadline has
/// passed. Each is signalled through a pidfd, and only where the kernel says of that pidfd that it is a child of this
/// process. Those in `spared` stay, and what is below them is ended (their orphans come here). Children of other users
/// stay, and are named. Whatever a single look meets (no descriptors, no memory) is tried again until the deadline.
/// Throws nothing.
///
/// Also where each process forks the next and exits at once. The current one is a child of this process as soon as its
/// parent is gone, and SIGKILL keeps a fork(2) from completing that is under way; so one kill that comes in time ends
/// the chain, and the loop does not wait as long as it meets new processes: it tries every few microseconds.
/// Measured: chains by fork(2), and by raw clones that share memory, which are ten times as fast, are over within 50
/// ms.
Ending end_all_children(Deadline deadline, const std::set<pid_t> &spared = {});

/// Lets this process hold as many descriptors as its hard limit allows: it may have to hold a pidfd for each of very
/// many. Its children get its limit, so it is for after these have been started. Where it can't be raised it stays.
void raise_descriptor_limit();

} // namespace pidleak::os

// Adopting, reaping and ending every descendant of this process.
#pragma once

#include "harness/base/deadline.hpp"

namespace pidleak::os {

/// PR_SET_CHILD_SUBREAPER (Linux 3.4): orphans below this process become its children. Throws SyscallError.
void become_subreaper();

/// SIGKILL from the kernel when the thread that forked this process ends (PR_SET_PDEATHSIG). Reaches the init of a
/// PID namespace too. Not inherited by children. The caller must check afterwards that the parent still lives.
void die_with_parent();

/// Reaps what has exited, without blocking, and not without end: some thousands at once. True if no child is left at
/// all (ECHILD).
bool reap_exited_children();

/// Sends SIGKILL to every child, and to those that their death hands over, until there is none (ECHILD) or the
/// deadline has passed. Each is signalled through a pidfd. True if none is left.
bool end_all_children(Deadline deadline);

} // namespace pidleak::os

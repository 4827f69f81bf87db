// Adopting, reaping and ending every descendant of this process.
#pragma once

#include "harness/base/deadline.hpp"

#include <sys/types.h>

#include <functional>

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
/// all (ECHILD). Calls `reaped` for each.
bool reap_exited_children(const std::function<void(pid_t)> &reaped = {});

/// Lets this process hold as many descriptors as its hard limit allows: it may have to hold a pidfd for each of very
/// many. Its children get its limit, so it is for after these have been started. Where it can't be raised it stays.
void raise_descriptor_limit();

} // namespace pidleak::os

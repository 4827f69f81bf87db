// Who has forked whom, where fork(3) tells: noted by each child in memory that it shares with its parents.
//
// The kernel does not say whether an ended child was forked here or adopted. This does for whatever fork(3) has made,
// here or below, as long as it was not below another program. vfork(2), posix_spawn(3) with popen(3) and system(3), and
// clone(2) run no handlers.
#pragma once

#include "harness/census/walk.hpp"

#include <optional>

namespace pidleak::library {

/// From now on, in this process and all that it forks. Throws SyscallError.
void keep_fork_log();

/// For what runs no handlers: this process has started that child, and not reaped it yet.
void note_child(pid_t child);

/// The process that has forked it; nothing if that was not noted, or thousands of forks ago.
std::optional<pid_t> noted_parent_of(const census::Member &process);

} // namespace pidleak::library

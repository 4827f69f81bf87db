// The guard in a PID namespace: when it ends, by whatever, SIGKILL included, the kernel ends everything below it.
//
//   caller ──fork──▶ guard, init of the namespace ──▶ command ...
//      │ passes signals on    ▲ SIGKILL when the caller ends (PR_SET_PDEATHSIG)
//
// What it costs is transparency: the command sees other pids, and stopping the command alone does not stop the caller.
#pragma once

#include "harness/guard/guard.hpp"

namespace pidleak::guard {

/// Runs `body` in a PID namespace with a /proc of its own (in a user namespace as well, where the caller is not root),
/// and exits with its status; 128 + N if signal N ended it. (This process can't fork any more once the namespace has
/// ended, so that there is nothing to return to.) `options` is told of the isolation. The caller must have no other
/// thread. Throws SyscallError where there is no such namespace to be had.
[[noreturn]] void in_pid_namespace(Options &options, const std::function<int()> &body);

} // namespace pidleak::guard

// A process that stands in for a guard, where the guard must not be this process itself.
//
//   caller (pid 1 of a container, or a parent already) ──▶ guard ──▶ command ──▶ daemon
//     │ adopts what `docker exec` and earlier children leave   └ adopts what the command leaves, and nothing else
//
// The kernel gives orphans to the next subreaper or init above, and does not say whose they were. So a guard that may
// not take others' orphans for the command's has children of the command's alone.
#pragma once

#include "harness/guard/start.hpp"

#include <functional>

namespace pidleak::guard {

/// Whether orphans come to this process that are not the command's: it has children, or is an init.
bool needs_stand_in();

/// Runs `body` in a child, and ends as that ends: with its status, or of its signal. Signals are passed on to it, it is
/// stopped and continued with it, and it gets SIGKILL when this process ends. What else ends below is reaped, and left
/// alone otherwise. `body` is given what the command is to have, and has every signal blocked. The caller must have no
/// other thread. Throws SyscallError if there can be no child.
[[noreturn]] void stand_in(const std::function<int(const Original &)> &body);

/// In a child of `parent` that is to end with it: SIGKILL. Exits at once if the parent has ended already.
void end_with_parent(pid_t parent);

} // namespace pidleak::guard

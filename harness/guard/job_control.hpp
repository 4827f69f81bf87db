// Stopping with the command, so that a shell sees its job stop, and going on when there is a reason to.
//
// A process that is stopped can't see that its command was continued alone, has ended, or has used up its time. A child
// looks on for it, and sends SIGCONT:
//
//   shell ──▶ guard (T) ──▶ command (T)
//               └─▶ watcher: is the command stopped still, and its time not over?
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/process_ref.hpp"

#include <functional>
#include <optional>

namespace pidleak::guard {

/// Stops this process (SIGSTOP) until it is sent SIGCONT, the process has ended or `goes_on` holds, or the deadline has
/// passed. `goes_on` is asked in a child, some times a second. What SIGCONT was sent meanwhile is taken as answered.
/// Not for the init of a PID namespace, which can't be stopped. Throws SyscallError if no child can be made: then it
/// was not stopped.
void stop_until(const os::ProcessRef &process, const std::function<bool()> &goes_on, std::optional<Deadline> deadline);

} // namespace pidleak::guard

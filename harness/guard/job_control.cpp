#include "harness/guard/job_control.hpp"

#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <csignal>

namespace pidleak::guard {
namespace {

/// In the child. Continues again and again: SIGCONT that comes before the SIGSTOP does nothing.
[[noreturn]] void look_on(const os::ProcessRef &guard, const os::ProcessRef &process,
                          const std::function<bool()> &goes_on, std::optional<Deadline> deadline) {
  try {
    os::die_with_parent();
    ::setpgid(0, 0); // what is sent to the job is not for this one
    Backoff backoff(std::chrono::milliseconds(1), std::chrono::milliseconds(50));
    while (!guard.has_exited()) {
      bool has_ended = process.has_exited();
      if (has_ended || (deadline && deadline->passed()) || goes_on())
        guard.deliver(SIGCONT);
      os::wait_for_any_exit(has_ended ? std::vector<int>{} : std::vector<int>{process.pidfd()}, backoff.next());
    }
  } catch (const std::exception &) { // rather awake for nothing than asleep for ever
    guard.deliver(SIGCONT);
  }
  ::_exit(0);
}

void take_continue_signals() {
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, SIGCONT);
  timespec now{};
  while (::sigtimedwait(&only, nullptr, &now) > 0) { // blocked, so that it is pending, and has continued all the same
  }
}

} // namespace

void stop_until(const os::ProcessRef &process, const std::function<bool()> &goes_on, std::optional<Deadline> deadline) {
  auto self = os::ProcessRef::open(::getpid());
  if (!self)
    return;
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of a watcher");
  if (pid == 0)
    look_on(*self, process, goes_on, deadline);
  auto watcher = os::ProcessRef::of_child(pid);
  ::raise(SIGSTOP);
  watcher.send(SIGKILL);
  os::reap(watcher);
  take_continue_signals();
}

} // namespace pidleak::guard

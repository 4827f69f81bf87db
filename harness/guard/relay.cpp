#include "harness/guard/relay.hpp"

#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/signalfd.h>

#include <initializer_list>

namespace pidleak::guard {

Relay::Relay() {
  sigset_t passed_on;
  ::sigfillset(&passed_on);
  // Faults of our own, what can't be blocked, and what stops a job as a whole.
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN,
                     SIGTTOU, SIGCONT, SIGPIPE})
    ::sigdelset(&passed_on, signal);
  if (::sigprocmask(SIG_BLOCK, &passed_on, &original_) != 0)
    os::throw_errno("sigprocmask(SIG_BLOCK)");
  signals_ = os::UniqueFd::adopt(::signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_)
    os::throw_errno("signalfd()");
}

Relay::~Relay() { ::sigprocmask(SIG_SETMASK, &original_, nullptr); }

void Relay::pass_on(int signal, int code, const os::ProcessRef &command) {
  for (int ends : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
    asked_to_end_ = asked_to_end_ || signal == ends;
  // What the kernel sends, it sends to the terminal's whole foreground process group, the command included.
  bool from_the_terminal = code > 0;
  if (!from_the_terminal)
    command.send(signal);
}

Relay::Event Relay::wait(const os::ProcessRef &command, std::optional<Deadline> deadline) {
  pollfd readable{.fd = signals_.get(), .events = POLLIN, .revents = 0};
  int ready = ::poll(&readable, 1, deadline ? deadline->left_ms() : -1);
  if (ready < 0 && errno != EINTR)
    os::throw_errno("poll(signalfd)");
  signalfd_siginfo info{};
  if (ready <= 0 || ::read(signals_.get(), &info, sizeof info) != sizeof info)
    return Event::nothing;
  if (info.ssi_signo == SIGCHLD)
    return Event::child;
  pass_on(static_cast<int>(info.ssi_signo), info.ssi_code, command);
  return Event::passed_on;
}

} // namespace pidleak::guard

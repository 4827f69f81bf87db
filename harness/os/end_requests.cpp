#include "harness/os/end_requests.hpp"

#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/signalfd.h>

namespace pidleak::os {

bool is_request_to_end(int signal) {
  if (signal != SIGINT && signal != SIGTERM && signal != SIGHUP && signal != SIGQUIT)
    return false;
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler != SIG_IGN;
}

EndRequests::EndRequests() {
  struct sigaction on_interrupt {};
  if (::sigaction(SIGINT, nullptr, &on_interrupt) == 0 && on_interrupt.sa_handler == SIG_IGN)
    ::signal(SIGINT, SIG_DFL);
  sigset_t asked;
  ::sigemptyset(&asked);
  for (int signal = 1; signal < NSIG; ++signal)
    if (is_request_to_end(signal))
      ::sigaddset(&asked, signal);
  if (::sigprocmask(SIG_BLOCK, &asked, &original_) != 0)
    throw_errno("sigprocmask(SIG_BLOCK)");
  signals_ = UniqueFd::adopt(::signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK));
  if (signals_)
    return;
  int error = errno;
  ::sigprocmask(SIG_SETMASK, &original_, nullptr);
  throw SyscallError(error, "signalfd()");
}

EndRequests::~EndRequests() {
  while (was_told_ && take()) { // answered: it must not end this process after all
  }
  ::sigprocmask(SIG_SETMASK, &original_, nullptr);
}

bool EndRequests::any() const {
  pollfd readable{.fd = fd(), .events = POLLIN, .revents = 0};
  was_told_ = was_told_ || ::poll(&readable, 1, 0) == 1;
  return was_told_;
}

std::optional<int> EndRequests::take() {
  signalfd_siginfo taken{};
  if (::read(signals_.get(), &taken, sizeof taken) != sizeof taken)
    return {};
  was_told_ = true;
  return static_cast<int>(taken.ssi_signo);
}

} // namespace pidleak::os

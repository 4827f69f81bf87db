#include "harness/guard/relay.hpp"

#include "harness/os/end_requests.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <unistd.h>

#include <initializer_list>
#include <iterator>

namespace pidleak::guard {

namespace {

/// This process (SIGPIPE) or a descendant of it that has not been reaped yet.
bool is_from_below(pid_t sender) {
  auto lineage = os::read_lineage(sender, ::getpid());
  return !lineage.empty() && lineage.back() == ::getpid();
}

bool is_for_this_process_alone(const signalfd_siginfo &info) {
  if (info.ssi_code <= 0) // by kill(2) and its like
    return !is_from_below(static_cast<pid_t>(info.ssi_pid));
  // By the kernel. An alarm survives exec, and a terminal that hangs up tells the leader of its session and no other.
  return info.ssi_signo == SIGALRM || (info.ssi_signo == SIGHUP && ::getsid(0) == ::getpid());
}

} // namespace

Relay::Relay(const std::optional<Original> &original) {
  sigset_t passed_on;
  ::sigfillset(&passed_on); // but for KILL and STOP, which sigprocmask(2) passes over
  if (::sigprocmask(SIG_BLOCK, &passed_on, &original_.mask) != 0)
    os::throw_errno("sigprocmask(SIG_BLOCK)");
  signals_ = os::UniqueFd::adopt(::signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_)
    os::throw_errno("signalfd()");
  struct sigaction tell {};
  tell.sa_handler = SIG_DFL; // ignored, it would let the kernel reap the command, and its status would be lost
  if (::sigaction(SIGCHLD, &tell, &original_.on_child) != 0)
    os::throw_errno("sigaction(SIGCHLD)");
  if (original)
    original_ = *original;
}

Relay::~Relay() {
  forget_signals(); // what has come too late for the command must not end the guard before it has told all
  ::sigaction(SIGCHLD, &original_.on_child, nullptr);
  ::sigprocmask(SIG_SETMASK, &original_.mask, nullptr);
}

void Relay::forget_signals() {
  signalfd_siginfo late{};
  while (::read(signals_.get(), &late, sizeof late) == sizeof late) {
  }
  asked_to_end_ = false;
}

void Relay::pass_on(const signalfd_siginfo &info, const os::ProcessRef *command) {
  int signal = static_cast<int>(info.ssi_signo);
  asked_to_end_ = asked_to_end_ || os::is_request_to_end(signal);
  if (!command || !is_for_this_process_alone(info))
    return;
  siginfo_t queued{};
  queued.si_signo = signal;
  queued.si_code = SI_QUEUE;
  queued.si_pid = static_cast<pid_t>(info.ssi_pid);
  queued.si_uid = info.ssi_uid;
  queued.si_value.sival_ptr = reinterpret_cast<void *>(info.ssi_ptr);
  // A command of another user does not get it; nor would it without a guard.
  command->deliver(signal, info.ssi_code == SI_QUEUE ? &queued : nullptr);
}

namespace {

/// poll(2), and ppoll(2) where a millisecond would be too long: where a filter refuses that, it is none the less.
int wait_for(pollfd *fds, nfds_t count, std::optional<Deadline> deadline) {
  if (deadline && deadline->left() < milliseconds(1)) {
    timespec left{.tv_sec = 0, .tv_nsec = deadline->left().count()};
    if (int ready = ::ppoll(fds, count, &left, nullptr); ready >= 0 || errno == EINTR)
      return ready;
  }
  return ::poll(fds, count, deadline ? deadline->left_ms() : -1);
}

} // namespace

Relay::Event Relay::wait(const os::ProcessRef *command, std::optional<Deadline> deadline, int other, int waker) {
  pollfd readable[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                       {.fd = other, .events = POLLIN, .revents = 0},
                       {.fd = waker, .events = POLLIN, .revents = 0}};
  int ready = wait_for(readable, std::size(readable), deadline);
  if (ready < 0 && errno != EINTR)
    os::throw_errno("poll(signalfd)");
  signalfd_siginfo info{};
  if (ready <= 0)
    return Event::nothing;
  if (::read(signals_.get(), &info, sizeof info) != sizeof info)
    return readable[1].revents != 0 ? Event::readable : Event::nothing;
  if (info.ssi_signo == SIGCHLD)
    return Event::child;
  pass_on(info, command);
  bool stops = info.ssi_signo == SIGTSTP || info.ssi_signo == SIGTTIN || info.ssi_signo == SIGTTOU;
  return stops ? Event::stop : Event::passed_on;
}

} // namespace pidleak::guard

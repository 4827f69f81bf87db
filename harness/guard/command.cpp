#include "harness/guard/command.hpp"

#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace pidleak::guard {
namespace {

constexpr int timeout_status = 124; // as timeout(1)

/// Whoever waits for this process is to see that the command has stopped, whether the terminal has stopped it or
/// somebody else. It has stopped first: by then it has put the terminal in order.
void stop_as_well(const os::ProcessRef &command) {
  auto stat = os::read_stat(command.pid());
  if (!stat || stat->state != 'T' || ::getpid() == 1) // the init of a PID namespace can't stop
    return;
  ::raise(SIGSTOP);
  // Continued alone, or with the command? That may even have been stopped again by now: its state does not tell.
  siginfo_t since{};
  constexpr int any = WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT;
  if (::waitid(P_PIDFD, static_cast<id_t>(command.pidfd()), &since, any) == 0 && since.si_pid == 0)
    command.send(SIGCONT);
}

End end_of(const siginfo_t &child, bool timed_out) {
  bool exited = child.si_code == CLD_EXITED;
  return {.status = timed_out ? timeout_status
                    : exited  ? child.si_status
                              : 128 + child.si_status,
          .signal = exited ? 0 : child.si_status,
          .timed_out = timed_out};
}

} // namespace

Command::Command() { os::become_subreaper(); }

int Command::start(const std::vector<std::string> &command) {
  if (os::has_children())
    for (pid_t pid : os::read_children(::getpid()))
      before_.insert(pid);
  auto started = guard::start(command, relay_.original());
  if (auto *process = std::get_if<os::ProcessRef>(&started)) {
    command_ = std::move(*process);
    return 0;
  }
  return std::get<int>(started);
}

End Command::wait(const TimeLimit &limit, const std::function<Deadline()> &look) {
  auto deadline = limit.timeout ? std::optional(Deadline::after(*limit.timeout)) : std::nullopt;
  auto next_look = look ? std::optional(look()) : std::nullopt;
  for (bool timed_out = false;;) {
    auto child = next_change();
    if (child.si_pid == command_->pid() && child.si_code != CLD_STOPPED)
      return end_of(child, timed_out);
    // Where there are many, signals and time pass between one and the next as well.
    auto until = next_look ? next_look->sooner_of(deadline.value_or(*next_look)) : deadline;
    auto event = relay_.wait(&*command_, child.si_pid == 0 ? until : Deadline::after(milliseconds(0)));
    if (next_look && next_look->passed())
      next_look = look();
    if (event == Relay::Event::nothing && deadline && deadline->passed()) {
      command_->send(std::exchange(timed_out, true) ? SIGKILL : SIGTERM);
      deadline = Deadline::after(limit.kill_after);
    }
  }
}

/// A child that has stopped, or ended and was reaped; no pid: there is none.
siginfo_t Command::next_change() {
  siginfo_t child{};
  if (::waitid(P_ALL, 0, &child, WEXITED | WSTOPPED | WNOHANG | __WALL) != 0 || child.si_pid == 0)
    return {};
  bool is_command = child.si_pid == command_->pid();
  if (child.si_code != CLD_STOPPED)
    before_.erase(child.si_pid); // the number is free for others now
  else if (is_command)
    stop_as_well(*command_);
  return child;
}

std::string write_end(const End &end) { return fmt::format("{}:{}", end.status, end.signal); }

std::optional<End> read_end(const std::string &word) {
  End end;
  char after = 0;
  bool read = std::sscanf(word.c_str(), "%d:%d%c", &end.status, &end.signal, &after) == 2;
  return read ? std::optional(end) : std::nullopt;
}

void occupy_standard_streams() {
  int fd = 0;
  while ((fd = ::open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fd <= STDERR_FILENO) {
  }
  if (fd >= 0)
    ::close(fd);
}

void die_of(int signal) {
  std::fflush(nullptr);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // the command's core is enough
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
}

} // namespace pidleak::guard

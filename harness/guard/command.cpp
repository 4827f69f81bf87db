#include "harness/guard/command.hpp"

#include "harness/guard/job_control.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace pidleak::guard {
namespace {

constexpr int timeout_status = 124;                     // as timeout(1)
constexpr std::chrono::seconds kill_bound{5};           // SIGKILL ends whatever does not wait for a device
constexpr std::chrono::microseconds ending_bound{100};  // from the end of its last thread to its exit
constexpr std::chrono::microseconds program_bound{200}; // in which most get their arguments after their exec
constexpr milliseconds rush_window{20}, rush_nap{2};
constexpr std::size_t events_of_a_rush = 10; // in a window
constexpr int most_failures = 20;            // one after the other

End end_of(const siginfo_t &child, bool timed_out, bool was_spared) {
  bool exited = child.si_code == CLD_EXITED;
  return {.status = timed_out ? timeout_status
                    : exited  ? child.si_status
                              : 128 + child.si_status,
          .signal = exited ? 0 : child.si_status,
          .timed_out = timed_out,
          .was_spared = was_spared};
}

} // namespace

int Command::start(const std::vector<std::string> &command) {
  genealogy_.emplace();
  auto since = Clock::now();
  if (int error = start_with(command, relay_.original()); error != 0)
    return error;
  genealogy_->begin(command_->pid(), command, since);
  return 0;
}

int Command::start_own(const std::vector<std::string> &command) {
  Original own;
  ::sigfillset(&own.mask);
  own.on_child.sa_handler = SIG_DFL;
  return start_with(command, own);
}

int Command::start_with(const std::vector<std::string> &command, const Original &original) {
  auto started = guard::start(command, original);
  if (auto *error = std::get_if<int>(&started))
    return *error;
  command_ = std::move(std::get<os::ProcessRef>(started));
  return 0;
}

const census::Genealogy &Command::genealogy() { return genealogy_ ? genealogy_->now() : no_genealogy_; }

End Command::wait(const TimeLimit &limit, Hooks hooks) {
  phase_ = Phase::runs;
  kill_after_ = limit.kill_after;
  limit_ = limit.timeout ? std::optional(Deadline::after(*limit.timeout)) : std::nullopt;
  next_look_ = hooks.look ? std::optional(hooks.look()) : std::nullopt;
  for (int failures = 0;;)
    try {
      if (auto end = step(hooks)) {
        relay_.forget_signals(); // they were for the command
        return *end;
      }
      failures = 0;
    } catch (const os::SyscallError &) { // what the kernel refuses once (no memory, no descriptor) it may grant again
      if (++failures == most_failures)
        throw;
      os::wait_for_any_exit({}, milliseconds(failures));
    }
}

/// Takes in one change or signal, or lets some time pass.
std::optional<End> Command::step(Hooks &hooks) {
  auto child = next_change();
  bool is_command = child.si_pid == command_->pid(), ended = child.si_pid != 0 && child.si_code != CLD_STOPPED;
  if (is_command && ended)
    return end_of(child, phase_ != Phase::runs, phase_ == Phase::given_up);
  if (is_command)
    stop_as_well();
  else if (ended && hooks.reaped)
    hooks.reaped(child.si_pid);
  // Where there are many, signals and time pass between one and the next as well.
  auto until = next_look_ ? next_look_->sooner_of(limit_.value_or(*next_look_)) : limit_;
  if (auto soon = soon_again())
    until = until ? until->sooner_of(*soon) : soon;
  bool rush = is_in_a_rush();
  if (auto nap = Deadline::after(rush_nap); rush)
    until = until ? until->sooner_of(nap) : nap;
  auto event = relay_.wait(&*command_, child.si_pid == 0 ? until : Deadline::after(milliseconds(0)), hooks.fd,
                           genealogy_ && !rush ? genealogy_->fd() : -1);
  if (event == Relay::Event::readable && !hooks.readable())
    hooks.fd = -1;
  if (event == Relay::Event::stop && hooks.stop)
    hooks.stop();
  if (next_look_ && next_look_->passed())
    next_look_ = hooks.look();
  if (limit_ && limit_->passed())
    enforce_limit(hooks);
  if (phase_ == Phase::unkillable)
    return End{.status = timeout_status, .timed_out = true, .was_spared = true};
  return {};
}

/// Very many come and go. To be woken by each would take the CPUs from them: where guard has just had one, the kernel
/// puts what is forked on another, and this one is idle then. So a look now and then has to do.
bool Command::is_in_a_rush() {
  auto now = Clock::now();
  if (!genealogy_ || now - counts_since_ < rush_window)
    return rush_;
  auto heard = genealogy_->heard();
  auto windows = static_cast<std::size_t>((now - counts_since_) / rush_window);
  rush_ = (heard - heard_before_) / windows >= events_of_a_rush;
  counts_since_ = now;
  heard_before_ = heard;
  return rush_;
}

/// When there is something to do although nothing more happens; nothing: never.
std::optional<Deadline> Command::soon_again() {
  const auto &told = genealogy();
  if (told.is_reading())
    return Deadline::after(program_bound);
  if (!told.has_command_ended())
    return {};
  // To sleep would take longer than its last steps do.
  if (!ending_)
    ending_ = Deadline::after(ending_bound);
  return ending_->passed() ? std::nullopt : std::optional(Deadline::after(milliseconds(0)));
}

/// Its time is over, or that which it had since it was asked to end.
void Command::enforce_limit(const Hooks &hooks) {
  if (phase_ == Phase::killed) {
    phase_ = Phase::unkillable;
    return;
  }
  if (phase_ == Phase::runs && hooks.time_is_over)
    hooks.time_is_over();
  auto delivery = command_->deliver(phase_ == Phase::runs ? SIGTERM : SIGKILL);
  command_->deliver(SIGCONT); // a stopped process acts on SIGTERM when it is continued
  if (delivery == os::Delivery::forbidden) {
    phase_ = Phase::given_up;
    limit_.reset();
    if (hooks.warn)
      hooks.warn(
          fmt::format("its timeout has passed, but pid {} belongs to another user and can't be ended. Waiting for it",
                      command_->pid()));
  } else if (phase_ == Phase::runs) {
    phase_ = Phase::asked_to_end;
    limit_ = Deadline::after(kill_after_);
  } else {
    phase_ = Phase::killed;
    limit_ = Deadline::after(kill_bound);
  }
}

/// A child that has stopped, or ended and was reaped; no pid: there is none.
siginfo_t Command::next_change() {
  siginfo_t child{};
  // To go on without an answer would be to wait for a signal that has been taken already: EINTR throws, too.
  if (::waitid(P_ALL, 0, &child, WEXITED | WSTOPPED | WNOHANG | __WALL) != 0)
    os::throw_errno("waitid(P_ALL)"); // ECHILD as well: the command was not waited for
  return child;
}

/// The parent of this process is to see that the command has stopped, whether the terminal has stopped it or another
/// process. The command has stopped first: by then it has put the terminal in order.
void Command::stop_as_well() {
  if (!os::is_stopped(command_->pid()) || ::getpid() == 1) // the init of a PID namespace can't be stopped
    return;
  stop_until(
      *command_, [this] { return !os::is_stopped(command_->pid()); }, limit_);
  // Continued alone, or with the command? That may even have been stopped again by now: its state does not tell.
  siginfo_t since{};
  constexpr int any = WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT;
  constexpr auto p_pidfd = static_cast<idtype_t>(3); // P_PIDFD, Linux 5.4
  if (::waitid(p_pidfd, static_cast<id_t>(command_->pidfd()), &since, any) == 0 && since.si_pid == 0 &&
      !(limit_ && limit_->passed()))
    command_->deliver(SIGCONT);
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

#include "harness/os/process_ref.hpp"

#include "harness/os/poll.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <deque>

namespace pidleak::os {
namespace {

// <linux/pidfd.h> of Linux 6.15; Debian 12's headers are older. The first 64 bytes, all that is asked for here.
struct PidfdInfo {
  std::uint64_t mask = 0;
  std::uint64_t cgroup_id = 0;
  std::uint32_t pid = 0, tgid = 0, ppid = 0, ids[8] = {};
  std::int32_t exit_code = 0;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t pidfd_info_exit = 1U << 3;
constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, PidfdInfo);

constexpr idtype_t p_pidfd = static_cast<idtype_t>(3); // P_PIDFD, Linux 5.4

/// What waitid(2) has told of an exit.
WaitStatus status_of(const siginfo_t &info) {
  return {.signaled = info.si_code != CLD_EXITED, .value = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
}

} // namespace

WaitStatus WaitStatus::from_raw(int status) {
  if (WIFSIGNALED(status))
    return {.signaled = true, .value = WTERMSIG(status), .core_dumped = WCOREDUMP(status) != 0};
  return {.signaled = false, .value = WEXITSTATUS(status), .core_dumped = false};
}

std::string WaitStatus::text() const {
  return signaled ? "killed by " + signal_name(value) : fmt::format("exited with {}", value);
}

std::optional<ProcessRef> ProcessRef::open(pid_t pid) {
  ProcessRef ref;
  ref.pid_ = pid;
  ref.pidfd_ = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); // sets CLOEXEC
  if (!ref.pidfd_) {
    if (errno == ESRCH || errno == EINVAL) // EINVAL: pid of a thread that leads no group, or below 1
      return {};
    throw_errno("pidfd_open({})", pid);
  }
  auto stat = read_stat(pid);
  if (!stat || !ref.send(0)) // reaped between the two: what was read may be another's
    return {};
  ref.start_ticks_ = stat->start_ticks;
  return ref;
}

ProcessRef ProcessRef::of_child(pid_t pid, UniqueFd pidfd) {
  ProcessRef ref;
  ref.pid_ = pid;
  ref.pidfd_ = pidfd ? std::move(pidfd) : UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!ref.pidfd_)
    throw_errno("pidfd_open({})", pid);
  try {
    auto stat = read_stat(pid);
    ref.start_ticks_ = stat ? stat->start_ticks : 0;
  } catch (const SyscallError &) { // as if /proc hid it: a child that runs must not be lost for that
  }
  return ref;
}

bool ProcessRef::has_exited() const {
  pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

Delivery ProcessRef::deliver(int signal, const siginfo_t *info) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, info, 0) == 0) // Linux 5.1
    return Delivery::sent;
  if (errno == ESRCH)
    return Delivery::gone;
  if (errno == EPERM)
    return Delivery::forbidden;
  throw_errno("pidfd_send_signal({}) to pid {}", signal_name(signal), pid_);
}

bool ProcessRef::send(int signal) const {
  auto delivery = deliver(signal);
  if (delivery == Delivery::forbidden && signal != 0) // 0 asks only whether it exists
    throw SyscallError(EPERM, fmt::format("pidfd_send_signal({}) to pid {}", signal_name(signal), pid_));
  return delivery != Delivery::gone;
}

std::optional<WaitStatus> ProcessRef::exit_status() const {
  if (!has_exited()) // its leader may have, and then /proc shows a Z and the leader's own status
    return {};
  siginfo_t own{}; // child, that was not waited for yet
  if (::waitid(p_pidfd, static_cast<id_t>(pidfd_.get()), &own, WEXITED | WNOHANG | WNOWAIT) == 0 && own.si_pid != 0)
    return status_of(own);
  auto from_pidfd = [&]() -> std::optional<WaitStatus> {
    PidfdInfo info;
    info.mask = pidfd_info_exit;
    if (::ioctl(pidfd_.get(), pidfd_get_info, &info) != 0 || (info.mask & pidfd_info_exit) == 0)
      return {};
    return WaitStatus::from_raw(info.exit_code);
  };
  // The pidfd tells once the process has been reaped, /proc as long as it has not: and that may be in between.
  if (auto status = from_pidfd())
    return status;
  auto stat = read_stat(pid_);
  if (stat && stat->state == 'Z' && stat->start_ticks == start_ticks_ && stat->exit_code != 0 && send(0))
    return WaitStatus::from_raw(stat->exit_code);
  return from_pidfd();
}

std::optional<bool> is_child(int pidfd) {
  siginfo_t info{};
  // __WALL: also one that was cloned without an exit signal.
  if (::waitid(p_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
    return true;
  return errno == ECHILD ? std::optional(false) : std::nullopt;
}

bool is_descendant(const ProcessRef &process) {
  constexpr int most_steps = 10'000; // deeper than any tree; and the tree may change while it is climbed
  std::deque<ProcessRef> above;      // held: their pids can't become those of others meanwhile
  const auto *at = &process;
  for (int step = 0; step < most_steps; ++step) {
    auto stat = read_stat(at->pid());
    if (!stat || !at->send(0)) // what was read may be of another
      return false;
    if (stat->parent == ::getpid())
      return true;
    if (stat->parent <= 1)
      return false;
    auto parent = ProcessRef::open(stat->parent);
    auto again = read_stat(at->pid());
    if (!parent || !again || again->parent != stat->parent)
      continue; // it got another parent meanwhile
    above.push_back(std::move(*parent));
    at = &above.back();
  }
  return false;
}

void wait_for_any_exit(const std::vector<int> &pidfds, std::chrono::microseconds at_most) {
  std::vector<pollfd> entries;
  for (int fd : pidfds)
    entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  poll_for(entries, at_most);
}

namespace {

std::optional<WaitStatus> wait_for(const ProcessRef &child, int options) {
  siginfo_t info{};
  while (::waitid(p_pidfd, static_cast<id_t>(child.pidfd()), &info, WEXITED | options) != 0)
    if (errno != EINTR)
      throw_errno("waitid(P_PIDFD, {}) for pid {}", child.pidfd(), child.pid());
  if (info.si_pid == 0)
    return {};
  return status_of(info);
}

} // namespace

WaitStatus reap(const ProcessRef &child) { return *wait_for(child, 0); }

std::optional<WaitStatus> try_reap(const ProcessRef &child) { return wait_for(child, WNOHANG); }

std::optional<WaitStatus> reap(const ProcessRef &child, Deadline deadline) {
  Backoff backoff;
  for (;;) {
    if (auto status = try_reap(child))
      return status;
    if (deadline.passed())
      return {};
    if (child.has_exited()) // and yet not to be had: a process traces it
      wait_for_any_exit({}, backoff.next());
    else
      wait_for_any_exit({child.pidfd()}, milliseconds(deadline.left_ms()));
  }
}

} // namespace pidleak::os

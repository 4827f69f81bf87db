#include "harness/os/subreaper.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

namespace pidleak::os {
namespace {

constexpr int most_refusals = 3; // of a signal: another user's process refuses it each time, a passing shortage once
constexpr int most_at_once = 10'000; // a chain of forks has exited children for as long as they are reaped

} // namespace

void become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    throw_errno("prctl(PR_SET_CHILD_SUBREAPER)");
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

bool is_subreaper() {
  int is = 0;
  if (::prctl(PR_GET_CHILD_SUBREAPER, &is, 0, 0, 0) != 0)
    throw_errno("prctl(PR_GET_CHILD_SUBREAPER)");
  return is != 0;
}

void cease_to_be_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) != 0)
    throw_errno("prctl(PR_SET_CHILD_SUBREAPER, 0)");
}

void die_with_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    throw_errno("prctl(PR_SET_PDEATHSIG, SIGKILL)");
}

bool reap_exited_children(std::size_t *reaped) {
  for (int tries = 0; tries < most_at_once; ++tries) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) != 0) { // __WALL: clones without exit signal too
      if (errno == ECHILD)
        return true;
      if (errno != EINTR)
        throw_errno("waitid(P_ALL, WNOHANG)");
    } else if (info.si_pid == 0) {
      return false;
    } else if (reaped) {
      ++*reaped;
    }
  }
  return false;
}

namespace {

/// Children that were sent SIGKILL and have not ended yet. Their numbers are theirs until this process reaps them, so
/// that a pidfd of one is of the right one; and what is below those that are spared.
class Dying {
public:
  explicit Dying(const std::set<pid_t> &spared) : spared_(spared) {}

  /// True if there were any that were not dying yet. The newest first: of a chain of forks, it is the one that goes on.
  bool kill_new_ones() {
    std::erase_if(held_, [](const auto &entry) { return has_ended(entry.second); });
    of_others_.clear();
    bool met = kill(read_children(::getpid()));
    for (pid_t pid : spared_)
      if (kill_below(pid))
        met = true;
    return met;
  }

  /// None that was met last time is left, but those of other users.
  bool empty() const { return held_.empty(); }
  const std::set<pid_t> &of_others() const { return of_others_; }
  /// Makes room: what is held is met again.
  void let_go() { held_.clear(); }

  void wait_for_any(std::chrono::microseconds at_most) const {
    std::vector<int> pidfds;
    for (const auto &[pid, pidfd] : held_)
      pidfds.push_back(pidfd.get());
    wait_for_any_exit(pidfds, at_most);
  }

private:
  static constexpr std::size_t most_held = 256; // descriptors are few: the others' turn comes when these are reaped

  static bool has_ended(const UniqueFd &pidfd) {
    pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, 0) == 1;
  }

  bool kill(const std::vector<pid_t> &children) {
    bool met = false;
    for (auto pid = children.rbegin(); pid != children.rend(); ++pid) {
      if (held_.contains(*pid) || spared_.contains(*pid) || held_.size() >= most_held)
        continue;
      auto child = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
      if (!child && (errno == EMFILE || errno == ENFILE) && !held_.empty())
        break; // their turn comes when these are reaped
      if (!child && errno != ESRCH)
        throw_errno("pidfd_open({})", *pid);
      // The list may be of another PID namespace, or the child may have been another's.
      if (child && is_child(child.get()) == std::optional(true))
        met = kill(*pid, std::move(child)) || met;
    }
    return met;
  }

  bool kill(pid_t pid, UniqueFd process) {
    if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) {
      if (errno == EPERM)
        of_others_.insert(pid);
      return false;
    }
    if (has_ended(process))
      return false;
    held_.emplace(pid, std::move(process));
    return true;
  }

  /// The children of one that is spared, and of those below it that are.
  bool kill_below(pid_t spared) {
    bool met = false;
    for (pid_t pid : read_children(spared)) {
      if (held_.contains(pid) || spared_.contains(pid) || held_.size() >= most_held)
        continue;
      auto process = ProcessRef::open(pid);
      if (process && !process->has_exited() && is_descendant(*process))
        met = kill(pid, process->release_pidfd()) || met;
    }
    return met;
  }

  const std::set<pid_t> &spared_;
  std::map<pid_t, UniqueFd> held_;
  std::set<pid_t> of_others_; // that were met last time
};

} // namespace

Ending end_all_children(Deadline deadline, const std::set<pid_t> &spared) {
  Dying dying(spared);
  auto ending = [&](bool all_ended) {
    return Ending{.all_ended = all_ended, .of_others = {dying.of_others().begin(), dying.of_others().end()}};
  };
  int refusals = 0; // one after the other
  for (Backoff backoff;;) {
    try {
      if (reap_exited_children())
        return {.all_ended = true};
      bool met = dying.kill_new_ones();
      if (!met && dying.empty() && dying.of_others().empty() && !spared.empty())
        return ending(true);
      bool others_alone = !met && dying.empty() && !dying.of_others().empty();
      refusals = others_alone ? refusals + 1 : 0;
      if (refusals == most_refusals)
        return ending(false); // to wait for these is to wait for ever
      if (deadline.passed())
        return ending(false);
      if (!met) // else no time may be lost: a chain of forks ends only so
        dying.wait_for_any(backoff.next());
    } catch (const std::exception &) { // what is short now (descriptors, memory) may come back, by this loop as well
      if (deadline.passed())
        return ending(false);
      dying.let_go();
      ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<milliseconds>(backoff.next()).count()));
    }
  }
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

} // namespace pidleak::os

#include "harness/os/subreaper.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

namespace pidleak::os {
namespace {

constexpr int most_at_once = 10'000; // a chain of forks has exited children for as long as somebody reaps them

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
/// that a pidfd of one is of the right one.
class Dying {
public:
  explicit Dying(const std::set<pid_t> &spared) : spared_(spared) {}

  /// True if there were any that were not dying yet. The newest first: of a chain of forks, it is the one that goes on.
  bool kill_new_ones() {
    std::erase_if(held_, [](const auto &entry) { return has_ended(entry.second); });
    bool met = false;
    auto children = read_children(::getpid());
    for (auto pid = children.rbegin(); pid != children.rend(); ++pid) {
      if (held_.contains(*pid) || spared_.contains(*pid) || held_.size() >= most_held)
        continue;
      auto child = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
      if (!child || ::syscall(SYS_pidfd_send_signal, child.get(), SIGKILL, nullptr, 0) != 0 || has_ended(child))
        continue;
      held_.emplace(*pid, std::move(child));
      met = true;
    }
    return met;
  }

  bool empty() const { return held_.empty(); }

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

  const std::set<pid_t> &spared_;
  std::map<pid_t, UniqueFd> held_;
};

} // namespace

bool end_all_children(Deadline deadline, const std::set<pid_t> &spared) {
  Dying dying(spared);
  for (Backoff backoff; !reap_exited_children();) {
    if (deadline.passed())
      return false;
    if (dying.kill_new_ones())
      continue; // a chain of forks ends only if no time is lost
    if (dying.empty() && !spared.empty())
      return true;
    dying.wait_for_any(backoff.next());
  }
  return true;
}

} // namespace pidleak::os

#include "harness/os/subreaper.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

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

void die_with_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    throw_errno("prctl(PR_SET_PDEATHSIG, SIGKILL)");
}

bool reap_exited_children() {
  for (int tries = 0; tries < most_at_once; ++tries) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) != 0) { // __WALL: clones without exit signal too
      if (errno == ECHILD)
        return true;
      if (errno != EINTR)
        throw_errno("waitid(P_ALL, WNOHANG)");
    } else if (info.si_pid == 0) {
      return false;
    }
  }
  return false;
}

namespace {

/// Children that were sent SIGKILL and have not ended yet.
class Dying {
public:
  explicit Dying(const std::set<pid_t> &spared) : spared_(spared) {}

  /// True if there were any that were not dying yet.
  bool kill_new_ones() {
    std::erase_if(held_, [](const auto &entry) { return entry.second.has_exited(); }); // its number may be another's
    bool met = false;
    for (pid_t pid : read_children(::getpid())) {
      if (held_.contains(pid) || spared_.contains(pid) || held_.size() >= most_held)
        continue;
      if (auto child = ProcessRef::open(pid); child && !child->has_exited()) {
        child->send(SIGKILL);
        held_.emplace(pid, std::move(*child));
        met = true;
      }
    }
    return met;
  }

  bool empty() const { return held_.empty(); }

  void wait_for_any(std::chrono::microseconds at_most) const {
    std::vector<int> pidfds;
    for (const auto &[pid, process] : held_)
      pidfds.push_back(process.pidfd());
    wait_for_any_exit(pidfds, at_most);
  }

private:
  static constexpr std::size_t most_held = 256; // descriptors are few: the others' turn comes when these are reaped

  const std::set<pid_t> &spared_;
  std::map<pid_t, ProcessRef> held_;
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

#include "harness/guard/end.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

namespace pidleak::guard {
namespace {

class Ending {
public:
  explicit Ending(const std::function<bool(pid_t)> &spared) : spared_(spared) {}

  Ended until(Deadline deadline) {
    Backoff backoff;
    while (!reap() && !deadline.passed()) {
      if (kill_new_ones())
        continue;
      if (dying_.empty()) // only the spared are left
        return {.count = count_, .all = true};
      std::vector<int> pidfds;
      for (const auto &[pid, process] : dying_)
        pidfds.push_back(process.pidfd());
      os::wait_for_any_exit(pidfds, backoff.next());
    }
    return {.count = count_, .all = reap()};
  }

private:
  /// True if no child is left at all.
  bool reap() {
    for (int tries = 0; tries < 10'000; ++tries) { // a chain of forks gives no end of them
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) != 0)
        return errno == ECHILD;
      if (info.si_pid == 0)
        return false;
      ++count_;
      dying_.erase(info.si_pid);
    }
    return false;
  }

  /// True if there were any. Nobody else reaps children of this process: their numbers stay theirs.
  bool kill_new_ones() {
    bool met = false;
    if (dying_.size() > 256) // of a chain, faster than they are reaped: some get a second signal then
      dying_.clear();
    for (pid_t pid : os::read_children(::getpid()))
      if (!dying_.contains(pid) && !spared_(pid))
        if (auto child = os::ProcessRef::open(pid)) {
          child->send(SIGKILL);
          dying_.emplace(pid, std::move(*child));
          met = true;
          if (dying_.size() > 256) // descriptors are few: reap first
            return true;
        }
    return met;
  }

  const std::function<bool(pid_t)> &spared_;
  std::map<pid_t, os::ProcessRef> dying_;
  int count_ = 0;
};

} // namespace

Ended end_children(const std::function<bool(pid_t)> &spared, Deadline deadline) {
  return Ending(spared).until(deadline);
}

} // namespace pidleak::guard

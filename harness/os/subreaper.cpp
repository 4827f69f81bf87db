#include "harness/os/subreaper.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

namespace pidleak::os {
namespace {

constexpr int most_at_once = 10'000; // a chain of forks has exited children for as long as somebody reaps them

} // namespace

void become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    throw_errno("prctl(PR_SET_CHILD_SUBREAPER)");
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

bool end_all_children(Deadline deadline) {
  Backoff backoff;
  while (!reap_exited_children()) {
    if (deadline.passed())
      return false;
    std::vector<ProcessRef> dying;
    std::vector<int> pidfds;
    for (pid_t pid : read_children(::getpid()))
      if (auto child = ProcessRef::open(pid); child && !child->has_exited()) {
        child->send(SIGKILL);
        pidfds.push_back(child->pidfd());
        dying.push_back(std::move(*child));
      }
    wait_for_any_exit(pidfds, backoff.next());
  }
  return true;
}

} // namespace pidleak::os

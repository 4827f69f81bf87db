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

bool reap_exited_children(const std::function<void(pid_t)> &reaped) {
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
      reaped(info.si_pid);
    }
  }
  return false;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

} // namespace pidleak::os

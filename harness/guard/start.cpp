#include "harness/guard/start.hpp"

#include "harness/os/syscall_error.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pidleak::guard {
namespace {

/// In the child, which has the parent's memory until it executes: system calls alone. Returns errno.
int execute(char *const *arguments, const Original &original, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) // it was killed before that
    ::_exit(128 + SIGKILL);
  ::sigaction(SIGCHLD, &original.on_child, nullptr);
  ::sigprocmask(SIG_SETMASK, &original.mask, nullptr);
  ::execvp(arguments[0], arguments);
  return errno;
}

} // namespace

std::variant<os::ProcessRef, int> start(const std::vector<std::string> &command, const Original &original) {
  std::vector<char *> arguments;
  for (const auto &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  volatile int error = 0;
  pid_t parent = ::getpid();
  // posix_spawn(3) can't leave a signal ignored that is not ignored here, and runs no script without a first line.
  pid_t pid = ::vfork(); // returns here once the child has executed or failed
  if (pid == 0) {
    error = execute(arguments.data(), original, parent);
    ::_exit(127);
  }
  if (pid < 0)
    os::throw_errno("vfork()");
  if (error == 0)
    return os::ProcessRef::open(pid).value(); // own and unreaped: it is there
  ::waitpid(pid, nullptr, 0);
  return error;
}

} // namespace pidleak::guard

#include "harness/guard/start.hpp"

#include "harness/os/syscall_error.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pidleak::guard {
namespace {

/// What the child, which has the parent's memory until it executes, needs and gives.
struct Execution {
  char *const *arguments;
  const Original &original;
  pid_t parent;
  volatile int error = 0;
};

/// In the child: system calls alone.
int execute(void *given) {
  auto &execution = *static_cast<Execution *>(given);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != execution.parent) // it was killed before that
    ::_exit(128 + SIGKILL);
  ::sigaction(SIGCHLD, &execution.original.on_child, nullptr);
  ::sigprocmask(SIG_SETMASK, &execution.original.mask, nullptr);
  ::execvp(execution.arguments[0], execution.arguments);
  execution.error = errno;
  ::_exit(127);
}

/// The child's stack. execvp(3) copies the arguments there, to run a script without an interpreter's line.
class Stack {
public:
  explicit Stack(std::size_t arguments)
      : size_(256 * 1024 + arguments * sizeof(char *)),
        memory_(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {
    if (memory_ == MAP_FAILED)
      os::throw_errno("mmap({} bytes for a stack)", size_);
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;
  ~Stack() { ::munmap(memory_, size_); }
  void *top() const { return static_cast<char *>(memory_) + size_; } // aligned: whole pages, and 16 bytes each

private:
  std::size_t size_;
  void *memory_;
};

} // namespace

std::variant<os::ProcessRef, int> start(const std::vector<std::string> &command, const Original &original) {
  std::vector<char *> arguments;
  for (const auto &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  Execution execution{.arguments = arguments.data(), .original = original, .parent = ::getpid()};
  if (execution.parent < 0) // a filter: the child would take this process for dead
    os::throw_errno("getpid()");
  Stack stack((arguments.size() + 1) / 2 * 2);
  int pidfd = -1;
  // As vfork(2), and with a pidfd: returns once the child has executed or failed. posix_spawn(3) can't leave a signal
  // ignored that is not ignored here, and runs no script without a first line.
  pid_t pid = ::clone(execute, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &execution, &pidfd);
  if (pid < 0)
    os::throw_errno("clone(CLONE_VFORK | CLONE_PIDFD)");
  auto held = os::UniqueFd::adopt(pidfd);
  if (execution.error == 0)
    return os::ProcessRef::of_child(pid, std::move(held));
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return execution.error;
}

} // namespace pidleak::guard

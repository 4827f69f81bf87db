#include "harness/os/seize.hpp"

#include "harness/os/advice.hpp"
#include "harness/os/syscall_error.hpp"

#include <sys/ptrace.h>

namespace pidleak::os {

void seize(pid_t thread, long options) {
  if (::ptrace(PTRACE_SEIZE, thread, nullptr, options) == 0)
    return;
  if (errno != EPERM)
    throw_errno("ptrace(PTRACE_SEIZE, {})", thread);
  throw TracingRefused(
      or_yama(fmt::format("ptrace(PTRACE_SEIZE, {}): {}", thread, describe_errno(EPERM)), seccomp_may_refuse));
}

} // namespace pidleak::os

// The start of tracing, where a machine may refuse it.
#pragma once

#include <sys/types.h>

#include <stdexcept>

namespace pidleak::os {

/// This user may not trace here: something that the machine lacks, as root or a namespace, and no failure. The text
/// says what refuses it, and what to do.
class TracingRefused : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// ptrace(PTRACE_SEIZE), Linux 3.4: the thread goes on. `options` are PTRACE_O_*. Throws TracingRefused for EPERM, and
/// SyscallError for the rest, as when it has gone.
void seize(pid_t thread, long options = 0);

} // namespace pidleak::os

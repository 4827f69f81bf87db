// A held system call is made to fail: its number becomes none, and its result an error, ptrace(2).
#pragma once

#include "harness/os/syscall_error.hpp"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <cstdint>

namespace pidleak::tracing {

#if defined(__x86_64__)
using Registers = user_regs_struct;
inline void set_result(Registers &registers, long result) { registers.rax = static_cast<unsigned long long>(result); }
inline long result_in(const Registers &registers) { return static_cast<long>(registers.rax); }
#elif defined(__aarch64__)
using Registers = user_regs_struct;
inline void set_result(Registers &registers, long result) {
  registers.regs[0] = static_cast<unsigned long long>(result);
}
inline long result_in(const Registers &registers) { return static_cast<long>(registers.regs[0]); }
#else
#error "how a call is made to fail is not known for this architecture"
#endif

/// Of a call that a signal or the tracer has interrupted, and that the kernel does again: ERESTARTSYS, ERESTARTNOINTR,
/// ERESTARTNOHAND, ERESTART_RESTARTBLOCK of the kernel's include/linux/errno.h. The program never sees them.
inline bool is_done_again(std::int64_t result) {
  return result == -512 || result == -513 || result == -514 || result == -516;
}

inline Registers read_registers(pid_t thread) {
  Registers registers{};
  iovec place{.iov_base = &registers, .iov_len = sizeof registers};
  if (::ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &place) != 0)
    os::throw_errno("ptrace(PTRACE_GETREGSET, {})", thread);
  return registers;
}

inline void write_registers(pid_t thread, Registers registers) {
  iovec place{.iov_base = &registers, .iov_len = sizeof registers};
  if (::ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &place) != 0)
    os::throw_errno("ptrace(PTRACE_SETREGSET, {})", thread);
}

/// At its entry: the kernel will not do it.
inline void skip_call(pid_t thread) {
#if defined(__x86_64__)
  auto registers = read_registers(thread);
  registers.orig_rax = ~0ULL;
  write_registers(thread, registers);
#else
  int none = -1;
  iovec place{.iov_base = &none, .iov_len = sizeof none};
  if (::ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &place) != 0)
    os::throw_errno("ptrace(PTRACE_SETREGSET, {})", thread);
#endif
}

/// At its exit.
inline void fail_call(pid_t thread, int error) {
  auto registers = read_registers(thread);
  set_result(registers, -error);
  write_registers(thread, registers);
}

} // namespace pidleak::tracing

// What /proc says of a process: parsers of its text, and readers that take a vanished process for an answer.
//
// Every reader returns nothing when the process is gone (ENOENT, ESRCH): processes end at any time. What this
// user may not read (EACCES, EPERM) is nothing too. Every other errno throws SyscallError.
// Formats: proc_pid_stat(5), proc_pid_status(5), proc_pid_syscall(5), proc_pid_fdinfo(5).
#pragma once

#include <boost/describe/enum.hpp>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::os {

/// /proc/PID/stat. `comm` may hold any bytes, `) (` included: the fields start after the LAST `)`.
struct ProcStat {
  pid_t pid = 0;
  std::string comm;
  char state = '?'; // R S D Z T t X I; Z may be a live process whose leader thread has exited
  pid_t parent = 0;
  pid_t process_group = 0;
  pid_t session = 0;
  bool has_executed = true; // a program, since it was forked (no PF_FORKNOEXEC)
  long threads = 0;
  std::uint64_t start_ticks = 0; // since boot, in units of 1/sysconf(_SC_CLK_TCK) seconds
  std::uint64_t cpu_ticks = 0;   // that it has had a CPU for, in user and kernel mode, in the same units
  int exit_code = 0;             // as waitpid(2) gives it; 0 without ptrace rights
};
std::optional<ProcStat> parse_stat(std::string_view text);
std::optional<ProcStat> read_stat(pid_t pid);
/// By a signal. False as well if it has gone.
bool is_stopped(pid_t pid);
std::optional<ProcStat> read_thread_stat(pid_t pid, pid_t thread);

/// A set of signals as /proc/PID/status prints it.
class SignalMask {
public:
  SignalMask() = default;
  explicit SignalMask(std::uint64_t bits) : bits_(bits) {}
  bool contains(int signal) const { return signal > 0 && signal <= 64 && (bits_ >> (signal - 1) & 1) != 0; }
  bool empty() const { return bits_ == 0; }
  std::uint64_t bits() const { return bits_; }
  std::string hex() const; // 16 digits, as the kernel prints it
private:
  std::uint64_t bits_ = 0;
};

/// /proc/PID/status, as far as this project asks.
struct ProcStatus {
  char state = '?'; // as in ProcStat
  SignalMask thread_pending, shared_pending, blocked, ignored, caught;
  std::uint64_t voluntary_switches = 0, involuntary_switches = 0;
  pid_t tracer = 0;                  // TracerPid; 0: none
  uid_t user = 0;                    // effective, as the caller's user namespace has it
  std::optional<long> resident_kib;  // VmRSS; nothing: a kernel thread, or a zombie
  std::vector<pid_t> namespace_pids; // NSpid: outermost namespace of this /proc first
};
std::optional<ProcStatus> parse_status(std::string_view text);
std::optional<ProcStatus> read_status(pid_t pid);
std::optional<ProcStatus> read_thread_status(pid_t pid, pid_t thread);

/// What a process does with a signal that is sent to it. Blocked comes first: the others wait for that.
BOOST_DEFINE_ENUM_CLASS(SignalAction, default_, handler, ignored, blocked)
SignalAction action_of(const ProcStatus &status, int signal);

/// /proc/PID/task/TID/syscall: the call that a blocked thread is in.
struct ProcSyscall {
  bool running = false;                     // on a CPU or runnable: the kernel says nothing more
  long number = -1;                         // -1: blocked, but in no system call
  std::array<std::uint64_t, 6> arguments{}; // as passed; pointers are the process's own
};
std::optional<ProcSyscall> parse_syscall(std::string_view text);
std::optional<ProcSyscall> read_syscall(pid_t pid, pid_t thread);
/// `read`, `futex`, ... or `syscall 441` for a number that this build has no name for.
std::string syscall_name(long number);

std::vector<pid_t> parse_pid_list(std::string_view text);
/// Children of every thread of `pid` (/proc/PID/task/*/children, CONFIG_PROC_CHILDREN). Not atomic: walk again.
std::vector<pid_t> read_children(pid_t pid);
/// Those of one thread: what it has forked; of the main thread also whom the process has adopted.
std::vector<pid_t> read_children(pid_t pid, pid_t thread);
/// All that /proc lists.
std::vector<pid_t> read_pids();
/// The pid that was given last in the calling process's PID namespace, or one below it: the last word of /proc/loadavg,
/// and another one after each fork(2), though not after a clone3(2) that asks for a pid (set_tid). Nothing where that
/// is not the kernel's own file, as under lxcfs, or does not tell.
std::optional<pid_t> newest_pid();
std::vector<pid_t> read_threads(pid_t pid);
/// The process, its parent and so on, up to one whose parent can't be read or is none. Not atomic. Stops after `top`.
std::vector<pid_t> read_lineage(pid_t pid, pid_t top = 1);

/// The arguments, NUL-separated in the kernel; empty for a zombie. Any bytes.
std::vector<std::string> read_command_line(pid_t pid);
/// The executable's path as the kernel prints it, or nothing.
std::optional<std::string> read_executable(pid_t pid);

/// An open descriptor: what /proc/PID/fd/N links to (`pipe:[123]`) and what /proc/PID/fdinfo/N says.
struct ProcFd {
  int number = -1;
  std::string target;    // a path of more than 4095 bytes, which the kernel does not show, is `(path too long)`
  int flags = 0;         // octal `flags:` of fdinfo; its low two bits are the access mode
  std::string info = {}; // all of fdinfo, proc_pid_fdinfo(5)
  bool readable() const { return (flags & 3) != 1; }
  bool writable() const { return (flags & 3) != 0; }
};
/// Nothing if the process is gone or may not be looked at. Only those whose target `is_wanted`: most of the cost is in
/// the fdinfo of each.
std::optional<std::vector<ProcFd>> read_fds(pid_t pid, const std::function<bool(const std::string &)> &is_wanted = {});
/// The words after `key:` in the lines of a fdinfo that begin so, one line after the other.
std::vector<std::vector<std::string>> fdinfo_lines(std::string_view info, std::string_view key);

/// Whether its program has the word size of this one: elsewhere the numbers of its system calls mean others. False
/// where that can't be read.
bool has_own_abi(pid_t pid);

} // namespace pidleak::os

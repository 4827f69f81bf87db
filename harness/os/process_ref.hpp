// One process, held so that it can't be taken for another: pid, start time and pidfd.
//
// (pid, start time) alone is no identity: ticks are 10 ms, and a forced reuse of a pid showed the same start time
// in 95 % of tries. The pidfd is. Signals go through it and never to a bare pid.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/unique_fd.hpp"

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::os {

/// How a process ended, kept apart to the edge: exited with a status, or killed by a signal.
struct WaitStatus {
  bool signaled = false;
  int value = 0; // exit status, or signal number
  bool core_dumped = false;
  static WaitStatus from_raw(int status); // as waitpid(2) gives it
  std::string text() const;               // `exited with 3`, `killed by SIGKILL`
  bool operator==(const WaitStatus &) const = default;
};

/// What became of a signal.
enum class Delivery {
  sent,
  gone,     // the process was reaped
  forbidden // it has another user (EPERM)
};

/// Owns a pidfd (Linux 5.3). Does not own the process: destroying the reference leaves it alone.
class ProcessRef {
public:
  /// Holds the process that has `pid` now, a zombie too; nothing if there is none, or /proc hides it. Throws
  /// SyscallError.
  static std::optional<ProcessRef> open(pid_t pid);
  /// A child of this process that was not waited for: its pid is its own until then, whatever /proc shows of it.
  /// `pidfd`: its own, where clone(2) has given one. Throws SyscallError.
  static ProcessRef of_child(pid_t pid, UniqueFd pidfd = {});

  pid_t pid() const { return pid_; }
  std::uint64_t start_ticks() const { return start_ticks_; } // 0: a child that /proc hides
  int pidfd() const { return pidfd_.get(); }
  UniqueFd release_pidfd() { return std::move(pidfd_); }

  /// True once every thread has exited, reaped or not (pidfd readable). Never blocks.
  bool has_exited() const;
  /// False if it was gone already. Throws SyscallError (EPERM).
  bool send(int signal) const;
  /// The same where it may belong to another user: that is an answer. `info`: as rt_sigqueueinfo(2) takes it. Throws
  /// SyscallError.
  Delivery deliver(int signal, const siginfo_t *info = nullptr) const;
  /// The wait status of an exited process, even if another process reaps or reaped it: PIDFD_GET_INFO (Linux
  /// 6.15), else /proc/PID/stat while it is a zombie; nothing where neither tells.
  std::optional<WaitStatus> exit_status() const;

private:
  pid_t pid_ = 0;
  std::uint64_t start_ticks_ = 0;
  UniqueFd pidfd_;
};

/// Whether it is a child of this process that was not waited for: the kernel's word, whatever pids mean in the /proc
/// that is mounted here. waitid(P_PIDFD, Linux 5.4), which takes nothing away. Nothing where a filter forbids to ask.
std::optional<bool> is_child(int pidfd);

/// Whether it is a descendant of this process, the chain of its parents being held while it is read from /proc.
bool is_descendant(const ProcessRef &process);

/// Waits until one of the pidfds is readable or the time is over.
void wait_for_any_exit(const std::vector<int> &pidfds, std::chrono::microseconds at_most);

/// waitid(P_PIDFD, Linux 5.4) of a child of this process; blocks without a timeout. Throws SyscallError.
WaitStatus reap(const ProcessRef &child);
/// The same without blocking. Nothing while it runs, and while another process traces it.
std::optional<WaitStatus> try_reap(const ProcessRef &child);
/// The same until the deadline. Nothing if it still runs then.
std::optional<WaitStatus> reap(const ProcessRef &child, Deadline deadline);

} // namespace pidleak::os

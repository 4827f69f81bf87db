// The descriptors of some processes, and what could make each of them ready: only these processes, or others as well?
#pragma once

#include "harness/census/boundary.hpp"
#include "harness/census/elsewhere.hpp"
#include "harness/census/walk.hpp"
#include "harness/os/procfs.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pidleak::census {

class Holdings {
public:
  /// Reads those of all that live. Throws SyscallError.
  Holdings(const std::vector<Member> &members, const Boundary &boundary);

  /// Null: they may not be read, or it has gone.
  const std::vector<os::ProcFd> *of(pid_t pid) const;
  /// Null: it has no such descriptor.
  const os::ProcFd *find(pid_t pid, int number) const;

  /// Empty if only these processes could end a wait for this descriptor of `pid`; else who or what else could.
  std::string why_not_alone(pid_t pid, const os::ProcFd &fd) const;
  /// By which names other processes would have what a thread waits for behind this descriptor.
  std::vector<Awaited> awaited(pid_t pid, const os::ProcFd &fd) const;
  /// A call that waits for data never blocks on it.
  static bool never_blocks(pid_t pid, const os::ProcFd &fd);
  /// Empty, or what the kernel could send `pid` a signal for on its own: SIGIO, a lease that is broken, a message.
  std::string why_signals(pid_t pid) const;

private:
  std::string why_not_alone_eventfd(pid_t pid, const os::ProcFd &fd) const;
  std::string why_not_alone_pidfd(const os::ProcFd &fd) const;
  std::string why_not_alone_socket(pid_t pid, const os::ProcFd &fd) const;
  std::string signalled_by_kernel() const;

  const std::vector<Member> &members_;
  const Boundary &boundary_;
  std::map<pid_t, std::vector<os::ProcFd>> fds_;
  std::set<std::string> sockets_; // `socket:[INODE]`
};

/// The descriptors that a thread waits for in poll(2), select(2), epoll_wait(2) and the like, as the process numbers
/// them; what an epoll descriptor watches included. Nothing where that can't be told: its memory may not be read, or an
/// epoll watches a file whose descriptor is closed, which is held elsewhere then.
/// Of those of poll(2) that ask for no event, so that only their closing is told, `for_errors_alone` has the numbers.
std::optional<std::vector<int>> polled_descriptors(pid_t pid, const os::ProcSyscall &call,
                                                   const std::vector<os::ProcFd> &fds,
                                                   std::set<int> *for_errors_alone = nullptr);

} // namespace pidleak::census

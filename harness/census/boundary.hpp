// What processes outside the census may hold as well: they may wake a process that waits for it.
//
//   outside ──┐                             inherited: a pipe, socket, eventfd, memory ... that this process was
//             ├── the same pipe             started with has another end outside
//   guard ────┘── command ── worker         made below: only the processes below have it
//
// Held both inside and outside is outside. For what reaches the outside later (over a socket, by pidfd_getfd(2),
// through /proc/PID/fd) see elsewhere.hpp.
#pragma once

#include "harness/os/alarm_watch.hpp"
#include "harness/os/procfs.hpp"

#include <memory>
#include <set>
#include <string>

namespace pidleak::census {

struct Boundary {
  /// What is held outside, by the names that identity_of() gives it.
  std::set<std::string> outside = {};
  /// A directory whose FIFOs and sockets no process outside opens; empty: none.
  std::string scratch = {};
  /// /dev/shm is a mount of the replay's own: what lies there has no name outside.
  bool own_shared_memory = false;
  /// Tells whether one of the processes has set an alarm; null: the machine's list does, if this user may read it.
  std::shared_ptr<const os::AlarmWatch> alarms = {};

  bool is_below_scratch(const std::string &path) const { return !scratch.empty() && path.starts_with(scratch + "/"); }
};

/// Of what is open, and what is mapped to be shared, in this process now. Called before it opens what it shares with
/// its descendants alone. Throws SyscallError.
Boundary inherited();

/// What is behind the descriptor of a process, by which it is known in all that hold it: `pipe:[1]`, `socket:[2]`,
/// `eventfd:3`, `file:08:04:17`; of what has no such name (signalfd, epoll) what it links to. Empty: it has gone.
std::string identity_of(pid_t pid, const os::ProcFd &fd);

/// The same of a file: as descriptors and memory maps both name it.
std::string identity_of_file(unsigned major, unsigned minor, std::uint64_t inode);

} // namespace pidleak::census

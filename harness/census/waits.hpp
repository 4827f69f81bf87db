// What a blocked thread waits for: the meaning of its system call's arguments.
#pragma once

#include "harness/census/boundary.hpp"
#include "harness/census/mappings.hpp"
#include "harness/os/procfs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::census {

/// By what could end the wait. From with_timer on it may end by itself, or by a process that need not be known.
enum class Wait {
  to_read,       // one descriptor
  to_write,      // one descriptor
  for_any_of,    // poll and the like: some of its descriptors
  for_lock,      // futex(2)
  for_child,     // a process's end
  for_signal,    // whichever
  with_timer,    // sleeps, or has a timeout
  for_file_lock, // flock(2), fcntl(2): whichever process has that file open may hold it
  to_open,       // open(2): a FIFO's other end
  unknown_call   // one that this table does not have
};

Wait wait_of(const os::ProcSyscall &call);

/// Whether it waits for any of some descriptors, with or without a timeout.
bool polls(const os::ProcSyscall &call);

/// A futex as all processes that share it see it.
struct Lock {
  bool is_inside = false; // private, or in memory without a name that was not inherited: no process outside has it
  std::string name;       // `lock DEVICE:INODE+OFFSET`, `private lock`
  std::string memory;     // that it lies in, as identity_of_file() has it; empty: it is private
};

/// The lock that a wait for_lock is about; nothing where the process's memory map may not be read.
std::optional<Lock> lock_of(pid_t pid, const os::ProcSyscall &call, const Boundary &boundary);

/// Shared mappings that a lock may lie in, each `DEVICE:INODE`, without duplicates.
std::vector<std::string> shared_memory_of(const std::vector<Mapping> &mappings);

/// The child that a wait for_child is for, where its arguments name one.
std::optional<pid_t> child_of(const os::ProcSyscall &call);

/// What object_of() puts before the path of a FIFO, and behind one that is there no more.
constexpr std::string_view fifo = "FIFO ", gone_path = " (deleted)";

/// What is waited for in words, where the arguments tell: `pipe:[INODE]`, `lock ...`, `pid N`, `flock PATH`, of open(2)
/// `FIFO PATH`, `PATH (deleted)` or another path; empty elsewhere. `lock`: that of a wait for_lock.
std::string object_of(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                      const std::optional<Lock> &lock);

/// The PATH of `flock PATH` or `fcntl PATH`.
std::string path_of_lock(const std::string &lock);

} // namespace pidleak::census

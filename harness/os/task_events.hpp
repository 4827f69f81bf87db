// Forks, execs and exits of everything that the calling process starts from now on, as the kernel tells them.
//
// perf_event_open(2): an event that counts nothing is inherited by every child, one for each CPU, and the kernel writes
// what tasks do into its buffer (PERF_RECORD_FORK, COMM, EXIT; Linux 4.1 for the clock). Nothing is stopped for it, and
// no process of others is seen. Ordinary users may where /proc/sys/kernel/perf_event_paranoid is 2 or less. The first
// use for a second on a machine takes some 10 ms: the kernel rewrites its own code for it.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pidleak::os {

struct TaskEvent {
  enum class Kind {
    fork, // `pid` was created by `parent`; the same: a thread
    exec,
    exit, // of a thread; the process has ended when its last one has
    lost  // the kernel had no room: some are missing
  };
  Kind kind = Kind::lost;
  pid_t pid = 0, parent = 0; // as this process's PID namespace has them; 0: not in it
  std::string name = {};     // of exec: the program's, 15 bytes at most
  std::chrono::steady_clock::time_point at = {};
};

/// Opened for the calling thread: a thread that was there before is not told of. Move-only.
class TaskEvents {
public:
  /// Never throws: where it can't be had, why_none() says why.
  TaskEvents();
  TaskEvents(TaskEvents &&) noexcept = default;
  TaskEvents &operator=(TaskEvents &&) noexcept = default;

  /// Empty: they are told.
  const std::string &why_none() const { return why_none_; }
  /// Readable when there is something to take; -1: never.
  int fd() const { return readable_.get(); }
  /// Since the last time, in the order in which they happened, but for those of different CPUs that are still on their
  /// way.
  std::vector<TaskEvent> take();

private:
  /// What the kernel writes for one CPU, and how far it was read.
  class Buffer {
  public:
    /// Throws SyscallError.
    explicit Buffer(UniqueFd event);
    Buffer(Buffer &&other) noexcept;
    Buffer &operator=(Buffer &&) = delete;
    ~Buffer();
    int fd() const { return event_.get(); }
    void take(std::vector<TaskEvent> &events);

  private:
    std::string bytes(std::uint64_t from, std::size_t count) const;
    UniqueFd event_;
    void *memory_;
  };

  void open();
  std::vector<Buffer> buffers_;
  UniqueFd readable_;
  std::string why_none_;
};

} // namespace pidleak::os

// The call queue: bounded, from the owner to whichever worker is free.
//
//   submit -> CallQueue::try_put -> buffer -> feeder thread -> pipe -> CallReader::get (one worker at a time)
//             takes a slot                                            gives the slot back
//
// As in multiprocessing.Queue the bound is a semaphore, not the pipe: a slot is taken when an item enters the
// buffer and given back when a worker has read it.
#pragma once

#include "harness/os/pipe.hpp"
#include "harness/pool/shared_locks.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace pidleak::pool {

/// One task on its way to a worker.
struct Call {
  std::uint64_t id = 0;
  std::string task;
};

/// The owner's end. Single producer; thread-safe against its own feeder only.
class CallQueue {
public:
  /// Throws SyscallError. The feeder thread starts with the first item, so that workers can be forked before it.
  explicit CallQueue(int capacity);
  ~CallQueue();

  /// False when every slot is taken. No call at all is a sentinel: whichever worker reads it leaves.
  bool try_put(const std::optional<Call> &call);
  bool full() const { return locks_->free_slots.value() == 0; }
  int depth() const { return locks_->capacity - locks_->free_slots.value(); }

  /// Ends the feeder (after what it has still to write) and closes the owner's write end. Waits for readers as
  /// long as the pipe is full.
  void close();
  /// Throws away what no worker has read yet, and closes both ends: for a queue without readers.
  void discard();

  const SharedLocks &locks() const { return *locks_; }
  int locks_fd() const { return locks_.fd(); }
  int read_fd() const { return pipe_.read_end.get(); }
  int write_fd() const { return pipe_.write_end.get(); }

private:
  void feed();

  SharedLocksMapping locks_;
  os::Pipe pipe_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> buffer_;
  bool closing_ = false;
  std::thread feeder_;
};

/// The workers' end.
class CallReader {
public:
  CallReader(SharedLocks &locks, int read_fd) : locks_(locks), read_fd_(read_fd) {}

  /// Blocks for the next call, without a timeout. Nothing on a sentinel, or when no write end is open any more.
  /// `while_locked` runs with the queue's lock held.
  std::optional<Call> get(const std::function<void()> &while_locked);

private:
  SharedLocks &locks_;
  int read_fd_;
};

} // namespace pidleak::pool

// The locks that processes of one pool share: POSIX semaphores in a memfd.
//
// Like CPython's they are plain counters: a worker that is killed while it holds one leaves it taken for ever.
// A robust mutex would heal that, and would hide the failure that this pool is there to show.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <semaphore.h>

namespace pidleak::pool {

/// A semaphore in shared memory. Waits restart after a signal handler.
class SharedSemaphore {
public:
  void initialise(unsigned value);
  void wait();     // without a timeout
  bool try_wait(); // false: it is at zero
  void post();
  int value();

private:
  sem_t semaphore_;
};

struct SharedLocks {
  SharedSemaphore read_lock;   // one worker at a time reads the call queue
  SharedSemaphore free_slots;  // what bounds the call queue
  SharedSemaphore result_lock; // one worker at a time writes a result
  int capacity;                // slots of the call queue
};

/// Owns a mapping of SharedLocks, and the memfd behind it.
class SharedLocksMapping {
public:
  static SharedLocksMapping create(int capacity);
  static SharedLocksMapping map(os::UniqueFd memfd);
  SharedLocksMapping(SharedLocksMapping &&other) noexcept;
  SharedLocksMapping &operator=(SharedLocksMapping &&) = delete;
  ~SharedLocksMapping();

  SharedLocks *operator->() const { return locks_; }
  SharedLocks &operator*() const { return *locks_; }
  int fd() const { return memfd_.get(); }

private:
  SharedLocksMapping(os::UniqueFd memfd, SharedLocks *locks) : memfd_(std::move(memfd)), locks_(locks) {}
  os::UniqueFd memfd_;
  SharedLocks *locks_;
};

} // namespace pidleak::pool

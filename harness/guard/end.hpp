// Ending what a command has left.
#pragma once

#include "harness/base/deadline.hpp"

#include <sys/types.h>

#include <functional>

namespace pidleak::guard {

struct Ended {
  int count = 0;    // ended or ended by themselves meanwhile: all that were reaped
  bool all = false; // none is left
};

/// Sends SIGKILL to every child of this process but those that are spared, and to those that their death hands over,
/// until there is none or the deadline has passed. This process must be a subreaper.
///
/// Also where each process forks the next and exits at once. The current one is a child of this process as soon as its
/// parent is gone, and SIGKILL keeps a fork(2) from completing that is under way; so one kill that comes in time ends
/// the chain, and the loop does not wait as long as it meets new processes: it tries every few microseconds.
/// Measured: a chain by fork(2) is over within 20 ms. One of raw clones that share memory, ten times as fast, may go on
/// to the deadline: then it is told that not all were ended.
Ended end_children(const std::function<bool(pid_t)> &spared, Deadline deadline);

} // namespace pidleak::guard

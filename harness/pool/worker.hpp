// A worker: reads calls, runs them, writes results, until it is told to leave.
#pragma once

#include "harness/os/unique_fd.hpp"
#include "harness/pool/behaviour.hpp"

#include <boost/describe/enum.hpp>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace pidleak::pool {

/// Places where a worker can be held up, and killed, to show what its death there does to the pool.
BOOST_DEFINE_ENUM_CLASS(WorkerPoint, holding_queue_lock, half_result)

/// What a worker runs. In fork these are copied with the address space; programs bring their own.
struct WorkerCode {
  /// What a spawned worker's or fork server child's "import of the main module" does; forked workers skip it.
  std::function<void()> import_main = [] {};
  std::function<std::string(const std::string &task)> run_task;
  std::function<void(WorkerPoint)> at_point = [](WorkerPoint) {};
};

/// The descriptors a worker inherits, and how it behaves. Crosses an exec as command line arguments.
struct WorkerEnds {
  int locks = -1; // memfd of SharedLocks
  int calls_read = -1;
  int calls_write = -1; // -1: not kept, so that the end of the owner is the end of the queue
  int results_write = -1;
  int tracker = -1; // write end of the tracker's pipe; -1: there is no tracker
  bool reset_signals = false;
  pid_t leave_with = 0; // its parent, with whose end the worker ends, in a task as well; 0: with none

  std::vector<int> descriptors() const;
  std::vector<std::string> to_arguments() const;
  /// Takes its own arguments off `arguments` and leaves the rest. Throws std::invalid_argument.
  static WorkerEnds from_arguments(std::vector<std::string> &arguments);
};

/// Runs until a sentinel or the end of the call queue, then returns.
void run_worker(const WorkerEnds &ends, const WorkerCode &code);

} // namespace pidleak::pool

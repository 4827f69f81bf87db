// What pidleak's own workers run, for every start method: the pool's worker loop, wired to the driver's channel.
#pragma once

#include "harness/pool/worker.hpp"
#include "workers/task.hpp"

namespace pidleak::workers {

/// What a subject passes on to the workers it starts as programs.
struct WorkerSetUp {
  std::string channel;
  bool handler_at_import = false; // "importing the main module" registers a SIGTERM handler

  std::vector<std::string> to_arguments() const;
  /// Takes its own arguments off the list.
  static WorkerSetUp from_arguments(std::vector<std::string> &arguments);
};

pool::WorkerCode make_worker_code(const WorkerSetUp &set_up);

/// The frame of a worker program's main(): reads the arguments, runs `body`, and turns what it throws into a line
/// on stderr and status 1.
int worker_main(int argc, char **argv, void (*body)(std::vector<std::string> &arguments, const pool::WorkerCode &));

} // namespace pidleak::workers

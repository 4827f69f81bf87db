// pidleak-worker: one worker of a pool with start method spawn.
#include "workers/worker_code.hpp"

int main(int argc, char **argv) {
  return pidleak::workers::worker_main(argc, argv, [](auto &arguments, const auto &code) {
    auto ends = pidleak::pool::WorkerEnds::from_arguments(arguments);
    code.import_main();
    run_worker(ends, code);
  });
}

// Start method spawn: a new program for each worker.
#include "harness/os/launch.hpp"
#include "harness/pool/starter.hpp"

namespace pidleak::pool {
namespace {

class SpawnStarter final : public Starter {
public:
  SpawnStarter(WorkerEnds ends, Program worker) : ends_(ends), worker_(std::move(worker)) {}

  std::unique_ptr<WorkerProcess> start() override {
    os::Launch what{.program = worker_.path, .arguments = worker_.arguments, .inherited = ends_.descriptors()};
    for (auto &argument : ends_.to_arguments())
      what.arguments.push_back(argument);
    return std::make_unique<ChildProcess>(os::launch(what));
  }

private:
  WorkerEnds ends_;
  Program worker_;
};

} // namespace

std::unique_ptr<Starter> make_spawn_starter(WorkerEnds ends, Program worker) {
  return std::make_unique<SpawnStarter>(ends, std::move(worker));
}

} // namespace pidleak::pool

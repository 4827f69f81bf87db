// A server is asked to stop, as a Pod is: idle, with a request in a worker's hands that then ends, and with one that
// never does. What waits for such a request without a limit of its own never stops.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &graceful_stop() {
  static const Scenario scenario{
      .name = "graceful-stop",
      .summary = "a server is asked to stop: idle, with a busy worker, and with one that never gets done",
      .subjects = {SubjectKind::server},
      .tasks = all_of<Tasks>(),
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::release_tasks, Step::settle},
      .must_show = {}};
  return scenario;
}

} // namespace pidleak::scenarios

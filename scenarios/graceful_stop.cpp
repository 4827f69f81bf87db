// A server is asked to stop, as a Pod is: idle, with a request in a worker's hands that then ends, and with one that
// never does. What waits for such a request without a limit of its own never stops.
//
// A pool's owner gets SIGTERM. Where that ends it, no process shuts the pool down, as under owner-killed: its workers
// have to notice by themselves. With a handler the owner shuts its pool down.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &graceful_stop() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "graceful-stop",
      .summary = "a server or a pool's owner is asked to stop: idle, with a busy worker, with one that never gets done",
      .subjects = {SubjectKind::pool, SubjectKind::server},
      .tasks = all_of<Tasks>(),
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::release_tasks, Step::settle},
      .must_show = {},
      .expectations = {{"cpython36", StartMethod::fork, leaked, 4, 0},
                       {"cpython37", StartMethod::fork, leaked, 4, 0},
                       {"cpython312", StartMethod::fork, leaked, 4, 0},
                       {"hardened", StartMethod::fork, clean}}};
  return scenario;
}

} // namespace pidleak::scenarios

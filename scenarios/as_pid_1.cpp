// A server is the init of its PID namespace, as in a container without an init: there a signal's default action does
// nothing, and what its workers leave is its to wait for.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &as_pid_1() {
  static const Scenario scenario{
      .name = "as-pid-1",
      .summary = "a server is PID 1 of its PID namespace, as in a container, and asked to stop",
      .conditions = {.tasks = Tasks::ended},
      .subjects = {SubjectKind::server},
      .why_no_pools = "PID 1 is a service; server:executor is one with a pool",
      .as_pid_1 = true,
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::release_tasks, Step::settle},
      .must_show = {}};
  return scenario;
}

} // namespace pidleak::scenarios

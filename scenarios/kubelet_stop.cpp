// What the kubelet does to a Pod: SIGTERM, and once the grace is over SIGKILL, to the master alone. A request that
// never ends keeps the master busy for as long.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &kubelet_stop() {
  static const Scenario scenario{
      .name = "kubelet-stop",
      .summary = "SIGTERM while a worker never gets done, and after the grace SIGKILL to the master alone",
      .conditions = {.tasks = Tasks::never_end},
      .subjects = {SubjectKind::server},
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::kill_after_grace, Step::settle},
      .must_show = {}};
  return scenario;
}

} // namespace pidleak::scenarios

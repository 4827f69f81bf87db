// A worker of a server is OOM-killed in a request. Is another one started in its place, is the dead one waited
// for, and does a stop still work afterwards?
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &worker_oom_killed() {
  static const Scenario scenario{
      .name = "worker-oom-killed",
      .summary = "a worker of a server is OOM-killed in a request; then the server is asked to stop",
      .conditions = {.death = Death::oom, .tasks = Tasks::finish},
      .subjects = {SubjectKind::server},
      .why_no_pools = "of pools, oom-killed-child does that",
      .steps = {Step::create_pool, Step::occupy_workers, Step::inject_fault, Step::ask_to_stop, Step::settle},
      .must_show = {MustShow::death}};
  return scenario;
}

} // namespace pidleak::scenarios

// A worker of a server or a pool is killed while it is idle. Is another one started in its place, is the dead one
// waited for, and does a stop still work afterwards?
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &worker_killed() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "worker-killed",
      .summary = "a worker is killed while it is idle; then the server, or the pool's owner, is asked to stop",
      .conditions = {.death = Death::sigkill, .tasks = Tasks::ended},
      .subjects = {SubjectKind::pool, SubjectKind::server},
      .steps = {Step::create_pool, Step::occupy_workers, Step::inject_fault, Step::ask_to_stop, Step::release_tasks,
                Step::settle},
      .must_show = {MustShow::death},
      .expectations = {{"cpython36", StartMethod::fork, clean},
                       {"cpython37", StartMethod::fork, clean},
                       {"cpython312", StartMethod::fork, clean},
                       {"hardened", StartMethod::fork, clean}}};
  return scenario;
}

} // namespace pidleak::scenarios

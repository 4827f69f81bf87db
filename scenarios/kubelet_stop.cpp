// What the kubelet does to a Pod: SIGTERM, and once the grace is over SIGKILL, to the master alone. A request that
// never ends keeps the master busy for as long.
//
// A pool's owner without a handler ends with the SIGTERM, in the middle of its workers' tasks. One with a handler
// (--sigterm handler) waits for them, until the SIGKILL.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &kubelet_stop() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "kubelet-stop",
      .summary = "SIGTERM while a worker never gets done, and after the grace SIGKILL to the master alone",
      .conditions = {.tasks = Tasks::never_end},
      .subjects = {SubjectKind::pool, SubjectKind::server},
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::kill_after_grace, Step::settle},
      .must_show = {},
      .expectations = {{"cpython36", StartMethod::fork, leaked, 4, 0},
                       {"cpython37", StartMethod::fork, leaked, 4, 0},
                       {"cpython312", StartMethod::fork, leaked, 4, 0},
                       {"hardened", StartMethod::fork, clean}}};
  return scenario;
}

} // namespace pidleak::scenarios

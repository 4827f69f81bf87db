// A server's master is killed, and the same command is started again, as a supervisor does it a second later. Workers
// that have stayed hold the port, or go on answering beside the new ones.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &restart_after_kill() {
  static const Scenario scenario{
      .name = "restart-after-kill",
      .summary = "a server's master is killed, and the same command is started again: does it come up, who answers?",
      .conditions = {.death = Death::sigkill, .victim = Victim::owner},
      .subjects = {SubjectKind::server},
      .why_no_pools = "a pool holds no port and is not started again; owner-killed shows what stays of it",
      .tasks = {Tasks::ended, Tasks::finish},
      .steps = {Step::create_pool, Step::occupy_workers, Step::inject_fault, Step::start_again},
      .must_show = {MustShow::death}};
  return scenario;
}

} // namespace pidleak::scenarios

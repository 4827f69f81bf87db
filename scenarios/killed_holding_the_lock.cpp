// A worker is killed while it holds the call queue's lock: no other worker will ever get a task, or a sentinel, from
// that queue again. What is left to a pool are signals, and those that its workers do not heed are not enough.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &killed_holding_the_lock() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "killed-holding-the-lock",
      .summary = "a worker with a SIGTERM handler around it is OOM-killed with the call queue's lock in hand",
      .conditions = {.death = Death::oom, .sigterm = Sigterm::handler, .death_point = DeathPoint::holding_queue_lock},
      .expectations = {
          {"cpython36", StartMethod::fork, hung, 3, 0},
          {"cpython37", StartMethod::fork, hung, 3, 0},
          {"cpython312", StartMethod::fork, hung, 3, 1},
          {"hardened", StartMethod::fork, clean},
      }};
  return scenario;
}

} // namespace pidleak::scenarios

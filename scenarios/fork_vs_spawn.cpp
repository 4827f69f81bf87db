// The same pool under every start method: the handler is inherited by fork, and reset by the exec of the others.
//
// Spawn is one of the cures that the incident's report proposes. It helps where the handler is registered at run
// time, and does not where the main module registers it at import (--handler-registered import), nor where SIGTERM
// is ignored (--sigterm ignored): both are in the tests beside this file.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &fork_vs_spawn() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "fork-vs-spawn",
      .summary = "SIGTERM handler and full queue under fork, spawn and forkserver: exec resets handlers, fork does not",
      .conditions = {.death = Death::sigkill, .sigterm = Sigterm::handler, .queue = CallQueueState::full},
      .start_methods = all_of<StartMethod>(),
      .expectations = {
          {"cpython36", StartMethod::fork, leaked, 3, 0},
          {"cpython37", StartMethod::fork, clean},
          {"cpython312", StartMethod::fork, hung, 3, 1},
          {"hardened", StartMethod::fork, clean},
          {"cpython36", StartMethod::spawn, clean},
          {"cpython37", StartMethod::spawn, clean},
          {"cpython312", StartMethod::spawn, clean},
          {"hardened", StartMethod::spawn, clean},
          {"cpython36", StartMethod::forkserver, clean},
          {"cpython37", StartMethod::forkserver, clean},
          {"cpython312", StartMethod::forkserver, clean},
          {"hardened", StartMethod::forkserver, clean},
      }};
  return scenario;
}

} // namespace pidleak::scenarios

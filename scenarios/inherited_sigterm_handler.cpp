// The program had registered a SIGTERM handler before it made the pool. Forked workers inherit it, and the SIGTERM
// with which a broken pool ends its workers does not end them.
//
// With nothing queued, the pools up to 3.11 still get their sentinels through: shutdown waits for the tasks and is
// clean. From 3.12 on a broken pool sends no sentinel, and joins workers that never leave.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &inherited_sigterm_handler() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "inherited-sigterm-handler",
      .summary = "a SIGTERM handler is registered before the pool is made; a worker is killed, nothing is queued",
      .conditions = {.death = Death::sigkill, .sigterm = Sigterm::handler},
      .expectations = {
          {"cpython36", StartMethod::fork, clean},
          {"cpython37", StartMethod::fork, clean},
          {"cpython312", StartMethod::fork, hung, 3, 1},
          {"hardened", StartMethod::fork, clean},
          // spawn and forkserver exec, and exec resets handlers
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

// The incident, every link of its chain: a worker is OOM-killed, the others have inherited a SIGTERM handler, and
// the call queue is full.
//
// On 3.6 three workers stay for ever, and the service does not know: shutdown returns. The first cure proposed, a newer
// Python, is none from 3.12 on: there shutdown itself never returns.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &incident() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "incident",
      .summary = "all links of the chain: OOM-killed worker, inherited SIGTERM handler, full call queue",
      .conditions = {.death = Death::oom, .sigterm = Sigterm::handler, .queue = CallQueueState::full},
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

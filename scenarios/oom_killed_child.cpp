// One worker is killed by the kernel for want of memory; nothing else is out of the ordinary.
//
// Every pool survives this one: SIGTERM ends the other workers, and there is room for sentinels. It shows that the
// kill alone is not the leak.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &oom_killed_child() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "oom-killed-child",
      .summary = "the kernel kills a worker for want of memory; SIGTERM at its default, nothing queued",
      .conditions = {.death = Death::oom},
      .expectations = {
          {"cpython36", StartMethod::fork, clean},
          {"cpython37", StartMethod::fork, clean},
          {"cpython312", StartMethod::fork, clean},
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

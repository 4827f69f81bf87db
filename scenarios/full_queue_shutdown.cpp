// The call queue is full when the pool shuts down, and the terminated workers are not yet dead when those that live
// are counted.
//
// 3.6 puts a sentinel for each that it counted, gets queue.Full, and its management thread is gone before it joined
// any worker: the workers die of SIGTERM and stay as zombies, the victim among them. The order of exits and count is a
// race that 3.6 loses in most runs (51 of 60, measured on 3.6.15); here it is forced. In the other order, which the
// tests run as well, every pool is clean.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &full_queue_shutdown() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "full-queue-shutdown",
      .summary = "the call queue is full of tasks when the pool breaks, and workers die slower than they are counted",
      .conditions = {.death = Death::sigkill, .queue = CallQueueState::full, .race = Race::count_first},
      .expectations = {
          {"cpython36", StartMethod::fork, leaked, 0, 4},
          {"cpython37", StartMethod::fork, clean},
          {"cpython312", StartMethod::fork, clean},
          {"hardened", StartMethod::fork, clean},
          {"cpython36", StartMethod::spawn, leaked, 0, 4},
          {"cpython37", StartMethod::spawn, clean},
          {"cpython312", StartMethod::spawn, clean},
          {"hardened", StartMethod::spawn, clean},
          // the fork server reaps its children, whichever process counts them
          {"cpython36", StartMethod::forkserver, clean},
          {"cpython37", StartMethod::forkserver, clean},
          {"cpython312", StartMethod::forkserver, clean},
          {"hardened", StartMethod::forkserver, clean},
      }};
  return scenario;
}

} // namespace pidleak::scenarios

// A server is started with SIGTERM ignored, as its starter had it: that survives exec. Can it be stopped?
//
// A pool's workers inherit it from their owner. SIGTERM does nothing in the owner, which shuts its pool down all the
// same: a pool that ends its workers by SIGTERM, and waits, waits for ever.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &sigterm_ignored_at_start() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "sigterm-ignored-at-start",
      .summary = "a server or a pool's owner is started with SIGTERM ignored, which survives exec, and asked to stop",
      .conditions = {.sigterm = Sigterm::ignored, .tasks = Tasks::ended},
      .subjects = {SubjectKind::pool, SubjectKind::server},
      .steps = {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::release_tasks, Step::settle},
      .must_show = {},
      .expectations = {{"cpython36", StartMethod::fork, clean},
                       {"cpython37", StartMethod::fork, clean},
                       {"cpython312", StartMethod::fork, clean},
                       {"hardened", StartMethod::fork, clean}}};
  return scenario;
}

} // namespace pidleak::scenarios

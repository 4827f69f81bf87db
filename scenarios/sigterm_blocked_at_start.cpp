// A server is started with SIGTERM blocked, as its starter had it: that survives exec. Can it be stopped?
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &sigterm_blocked_at_start() {
  static const Scenario scenario{.name = "sigterm-blocked-at-start",
                                 .summary =
                                     "a server is started with SIGTERM blocked, which survives exec, and asked to stop",
                                 .conditions = {.sigterm = Sigterm::blocked, .tasks = Tasks::ended},
                                 .subjects = {SubjectKind::server},
                                 .steps = {Step::create_pool, Step::ask_to_stop, Step::settle},
                                 .must_show = {}};
  return scenario;
}

} // namespace pidleak::scenarios

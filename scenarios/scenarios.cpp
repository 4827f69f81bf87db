#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

std::vector<const Scenario *> all() {
  return {&oom_killed_child(), &inherited_sigterm_handler(), &full_queue_shutdown(), &fork_vs_spawn(), &incident(),
          &owner_killed(),     &killed_holding_the_lock()};
}

const Scenario *find(const std::string &name) {
  for (const auto *scenario : all())
    if (scenario->name == name)
      return scenario;
  return nullptr;
}

} // namespace pidleak::scenarios

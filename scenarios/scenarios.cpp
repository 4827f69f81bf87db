#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario *find(const std::string &name) {
  for (const auto *scenario : all())
    if (scenario->name == name)
      return scenario;
  return nullptr;
}

} // namespace pidleak::scenarios

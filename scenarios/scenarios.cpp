#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario *find(const std::string &name) {
  for (const auto *scenario : all())
    if (scenario->name == name)
      return scenario;
  return nullptr;
}

const Expectation *expectation_of(const reports::Report &report) {
  const auto *scenario = find(report.scenario);
  auto method = report.conditions.find("start-method");
  if (scenario && method != report.conditions.end())
    for (const auto &expectation : scenario->expectations)
      if (expectation.preset == report.pool && spell(expectation.start_method) == method->second)
        return &expectation;
  return nullptr;
}

} // namespace pidleak::scenarios

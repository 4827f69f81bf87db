// The scenarios: a file each, and all listed in CMakeLists.txt.
#pragma once

#include "harness/replay/scenario.hpp"

#include <vector>

namespace pidleak::scenarios {

using replay::Expectation;
using replay::MustShow;
using replay::Scenario;
using replay::Step;
using replay::SubjectKind;

/// In the order of that list.
std::vector<const Scenario *> all();
/// Nothing if there is none of that name.
const Scenario *find(const std::string &name);
/// What the scenario says its preset must do; nothing: it says nothing of that pool or start method. Holds where the
/// conditions were left as they are, with 4 workers.
const Expectation *expectation_of(const reports::Report &report);

} // namespace pidleak::scenarios

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

} // namespace pidleak::scenarios

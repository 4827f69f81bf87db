// The scenarios: one file each, all listed here.
#pragma once

#include "harness/replay/scenario.hpp"

#include <vector>

namespace pidleak::scenarios {

using replay::Expectation;
using replay::MustShow;
using replay::Scenario;

const Scenario &oom_killed_child();
const Scenario &inherited_sigterm_handler();
const Scenario &full_queue_shutdown();
const Scenario &fork_vs_spawn();
const Scenario &incident();
const Scenario &owner_killed();
const Scenario &killed_holding_the_lock();

/// In the order in which the incident's links are found, then what every pool meets in a Pod.
std::vector<const Scenario *> all();
/// Nothing if there is none of that name.
const Scenario *find(const std::string &name);

} // namespace pidleak::scenarios

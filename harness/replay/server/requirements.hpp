// What a replay of a server takes, of the server's description and of this machine.
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

namespace pidleak::replay {

/// Why this plan can't be replayed: what its server can't be made to do, or what is not here. Empty: it can.
std::string why_skipped(const Plan &plan, const Inside &inside);

} // namespace pidleak::replay

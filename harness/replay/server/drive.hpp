// A replay of a server, and its verdict.
//
//   started ──▶ ready ──▶ (one worker busy) ──▶ fault, or asked to stop ──▶ who holds on before the request is released
//           ──▶ released ──▶ census at rest ──▶ facts: who serves, who holds the port ──▶ verdict
//
// A new step is a function in drive.cpp, and a case in take().
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

namespace pidleak::replay {

/// Never throws for what the server does: that is in the verdict. Throws LifelineCut. Must be called by a sandbox's
/// init.
reports::Report drive_server(const Plan &plan, const Inside &inside);

} // namespace pidleak::replay

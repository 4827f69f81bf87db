// Runs one replay inside its sandbox, and judges it.
//
//   Plan ──▶ steps, each ordered by a handshake ──▶ evidence, timeline
//                                                        │
//            census: walk, settle, examine ──────────────┴──▶ verdict ──▶ Report
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

namespace pidleak::replay {

/// Never throws for what the subject or the pool does: that is in the verdict. Throws LifelineCut when the harness
/// has gone. Must be called by a sandbox's init.
reports::Report drive(const Plan &plan, const Inside &inside);

} // namespace pidleak::replay

// A command in place of a pool: runs it in a sandbox to its end, or until it is ready and then asks it to stop, and
// reports what outlives it.
//
//   held before its exec ──▶ step run ──▶ ready ──▶ step stop: the signal ──▶ ended ──▶ census ──▶ verdict
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

namespace pidleak::replay {

/// The report of `plan.command`: clean, leaked (something outlived it), hung (it never ended), invalid (the fault did
/// not come), broken (it can't be executed, or was never ready). Throws LifelineCut. Must be called by a sandbox's
/// init.
reports::Report drive_command(const Plan &plan, const Inside &inside);

} // namespace pidleak::replay

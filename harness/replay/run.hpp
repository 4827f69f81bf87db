// Runs replays, each in a sandbox of its own, some at a time.
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

#include <functional>

namespace pidleak::replay {

struct RunOptions {
  Facilities facilities;
  reports::Tier tier = reports::Tier::subreaper; // at most facilities.strongest
  int jobs = 1;
  /// Called after each replay, in the order in which they end, with how many have ended.
  std::function<void(std::size_t done, const reports::Report &)> on_done = [](std::size_t, const reports::Report &) {};
};

/// One report a plan, in the plans' order. The caller must have no other thread. Throws SyscallError where no
/// sandbox can be started at all; everything else is in the verdicts.
std::vector<reports::Report> run(const std::vector<Plan> &plans, const RunOptions &options);

/// One replay with what this machine has.
reports::Report run(const Plan &plan);

} // namespace pidleak::replay

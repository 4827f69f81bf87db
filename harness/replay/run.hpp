// Runs replays, each in a sandbox of its own, some at a time.
#pragma once

#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"

#include <functional>
#include <optional>

namespace pidleak::replay {

struct RunOptions {
  Facilities facilities;
  reports::Tier tier = reports::Tier::subreaper; // at most facilities.strongest
  int jobs = 1;
  int repeat = 1; // all plans once, then all of them again
  /// Asked before each replay: whether none is to begin any more. Those that run then come to their end.
  std::function<bool()> is_over = [] { return false; };
  /// In place of `repeat`: the place in `plans` of each next replay, asked when it is prepared, which is while others
  /// run; nothing: no other is.
  std::function<std::optional<std::size_t>()> next_plan = {};
  /// Called after each replay, in the order in which they end, with how many have ended.
  std::function<void(std::size_t done, const reports::Report &)> on_done = [](std::size_t, const reports::Report &) {};
};

/// How far it came.
struct Ran {
  std::size_t done = 0;
  std::optional<int> interrupted_by; // the signal: replays that ran then were ended, and are not counted
};

/// Hands over one report for each plan that was replayed, with its place in `plans`, in the order in which they were
/// begun. A first request to end this process (SIGINT, SIGTERM, SIGHUP, SIGQUIT) ends the replays, a second one the
/// process: sandboxes end with it. The caller must have no other thread. Throws SyscallError where no sandbox can be
/// started at all; everything else is in the verdicts.
Ran run(const std::vector<Plan> &plans, const RunOptions &options,
        const std::function<void(std::size_t plan, reports::Report)> &on_report);

/// What every report of this plan says of it, whatever comes of the replay.
reports::Report described(const Plan &plan);

/// One replay with what this machine has.
reports::Report run(const Plan &plan);

} // namespace pidleak::replay

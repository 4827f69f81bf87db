// Replays a plan with a fault at each of its points of execution: until each has been reached or given up, and those
// that fail as often as wanted.
//
//   plans ──▶ recordings ──▶ faults to try ──▶ rounds of replays ──▶ reports::Sweep, one a plan
//                                  ▲                  │
//                                  └─ not reached, ◀──┘ failed: again
#pragma once

#include "harness/replay/run.hpp"
#include "harness/sweep/faults_to_try.hpp"
#include "reports/shard.hpp"
#include "reports/sweep.hpp"

#include <functional>
#include <vector>

namespace pidleak::sweep {

struct Options {
  Choice choice;
  int repeat = 5;                           // replays of a point that fails, in all
  int tries = 10;                           // to come to a point, before it is given up
  std::optional<reports::Shard> shard = {}; // nothing: all points are tried here
  replay::RunOptions run = {};              // repeat and on_done are not used
  /// Called after each replay: how many are done, and how many it will be as far as is known now.
  std::function<void(std::size_t done, std::size_t expected)> on_progress = [](std::size_t, std::size_t) {};
};

struct Swept {
  std::vector<reports::Sweep> sweeps; // one a plan
  std::optional<int> interrupted_by;  // the signal
  bool is_over_budget = false;        // RunOptions::is_over came first
};

/// `earlier`: reports of a sweep of the same plans that came to an end before it was done; what they have is not done
/// again. `on_report` gets each new report. Throws what replay::run() does.
Swept run(const std::vector<replay::Plan> &plans, const Options &options, const std::vector<reports::Report> &earlier,
          const std::function<void(const reports::Report &)> &on_report);

} // namespace pidleak::sweep

// A soak: the same replays again and again, counted by what came of them. What it keeps does not grow with their
// number.
#pragma once

#include "reports/report.hpp"

#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace pidleak::reports {

/// Replays of a cell that came to the same: verdict, and of leaks and hangs the numbers of processes.
struct SoakOutcome {
  Report first;
  std::size_t number = 0; // of the first, among all replays of the soak, from 1
  std::size_t count = 0;
  bool deviates = false;
};

/// One scenario on one pool under the same conditions.
struct SoakCell {
  std::vector<SoakOutcome> outcomes; // in order of appearance; there is one
  std::set<std::string> expected;    // as outcome_words() has them
  bool is_recorded = false;          // else they are its own first outcomes
  std::size_t replays = 0;

  const Report &first() const { return outcomes.front().first; }
};

/// What was asked for, and how far it came.
struct SoakRun {
  unsigned seed = 0;
  std::vector<std::string> load; // `cpu=2`
  double seconds = 0;
};

class Soak {
public:
  /// What is recorded for a replay of this kind; empty: nothing is, and what comes of its first `learn` replays is
  /// right.
  using Recorded = std::function<std::set<std::string>(const Report &)>;
  Soak(Recorded recorded, std::size_t learn) : recorded_(std::move(recorded)), learn_(learn) {}

  /// Counts it. What was expected in its place; empty: that is as expected. A replay that is invalid or broken never
  /// is.
  std::string add(const Report &report);

  const std::vector<SoakCell> &cells() const { return cells_; } // in order of appearance
  std::size_t replays() const { return replays_; }
  std::size_t deviating() const;
  /// Those that have come, of which the ones that are as expected count as clean, for exit_status().
  std::vector<Verdict> judged() const;

private:
  Recorded recorded_;
  std::size_t learn_, replays_ = 0;
  std::vector<SoakCell> cells_;
  std::unordered_map<std::string, std::size_t> places_; // in cells_
};

/// A row for each scenario and start method and a column for each pool, or a row for each cell where that is too wide.
/// Below it what deviates. An outcome that does is marked with `!`.
std::string render_soak(const Soak &soak);
/// GitHub's tables.
std::string render_soak_markdown(const Soak &soak);
/// `4,812 replays in 300 s, 16.0 a second, beside cpu=2; seed 7: 3 deviate`
std::string summary_of(const Soak &soak, const SoakRun &run);

/// The leak report: the first replay of each outcome, and the distribution as its member `soak`.
std::string soak_document(const Soak &soak, const SoakRun &run);

} // namespace pidleak::reports

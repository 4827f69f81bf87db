// Reports side by side: a row for each scenario and start method, a column for each pool.
#pragma once

#include "reports/outcome.hpp"
#include "reports/tally.hpp"

#include <string>
#include <vector>

namespace pidleak::reports {

/// All replays of one scenario under one start method on one pool: a tally for each set of other conditions.
using Cell = std::vector<Tally>;

template <class Visit>
void for_each_ending(const Cell &cell, const Visit &visit) {
  for (const auto &tally : cell)
    for (const auto &ending : tally.endings)
      visit(ending);
}

std::size_t replays_in(const Cell &cell);

struct ComparisonRow {
  std::string scenario, start_method;
  std::vector<Cell> cells; // one a pool
};

struct Comparison {
  std::vector<std::string> pools;
  std::vector<ComparisonRow> rows; // in order of appearance
};

Comparison compare(const Tallies &tallies);

/// `leaked 3/1`, `clean`, `skipped`.
std::string outcome_words(const Report &report);

/// The same of a cell; several that differ, by number: `4 clean, 1 leaked 3/0`.
std::string describe(const Cell &cell);

struct ComparisonOptions {
  bool times = false; // the median of each cell, besides what came of it
  bool colour = false;
  Deviation deviation = {}; // set: a cell that is not as expected is marked, and told below
};
std::string render_comparison(const Comparison &comparison, const ComparisonOptions &options = {});
/// GitHub's tables. Each cell with its median time, and what servers did besides.
std::string render_comparison_markdown(const Comparison &comparison);
/// A document, as text.
std::string comparison_as_json(const Comparison &comparison);

/// A preset that does otherwise than the real pool that it is a model of.
struct Difference {
  std::string scenario, start_method, preset, real;
  std::string preset_does, real_does;
};

/// Holds a preset's column against a real pool's, row by row. Where a race decides and can't be forced, the real one
/// may do anything between what the preset does in the two orders: `other_order` has the preset's replays in the other
/// one. Rows that either of them skips are not compared; `compared` counts those that were.
std::vector<Difference> find_differences(const Comparison &comparison, const Comparison &other_order,
                                         const std::string &preset, const std::string &real, int &compared);

} // namespace pidleak::reports

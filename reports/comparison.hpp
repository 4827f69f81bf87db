// Reports side by side: a row for each scenario and start method, a column for each pool.
#pragma once

#include "reports/report.hpp"

#include <string>
#include <vector>

namespace pidleak::reports {

/// All replays of one scenario under one start method on one pool.
struct Cell {
  std::vector<Report> replays;
};

struct ComparisonRow {
  std::string scenario, start_method;
  std::vector<Cell> cells; // one a pool
};

struct Comparison {
  std::vector<std::string> pools;
  std::vector<ComparisonRow> rows; // in order of appearance
};

Comparison compare(const std::vector<Report> &reports);

/// `leaked 3/1`, `clean`, `skipped`; several that differ, by number: `4 clean, 1 leaked 3/0`.
std::string describe(const Cell &cell);

std::string render_comparison(const Comparison &comparison);
/// GitHub's tables.
std::string render_comparison_markdown(const Comparison &comparison);
nlohmann::ordered_json comparison_to_json(const Comparison &comparison);

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

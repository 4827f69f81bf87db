// Two documents held against each other: what is new, what went away, what changed.
#pragma once

#include "reports/comparison.hpp"

#include <boost/describe/enum.hpp>

namespace pidleak::reports {

BOOST_DEFINE_ENUM_CLASS(Change, same,
                        changed, // other numbers or causes, or one of the two says nothing of the pool
                        better, worse,
                        added,   // only the second has it
                        removed) // only the first has it

/// One scenario on one pool under one start method, in both documents.
struct CellDiff {
  std::string scenario, pool, start_method;
  Cell before, after;
  Change change = Change::same;
  bool got_worse = false;                           // worse, or added and not clean
  std::vector<std::string> new_causes, gone_causes; // `NAME: CAUSE` of remaining processes that nothing suppresses
};

/// Verdicts from good to bad: clean, skipped, leaked, hung, invalid, broken; of repeated replays the worst counts. With
/// the same verdict, more remaining processes are worse. A leak that is skipped now is neither better nor worse.
std::vector<CellDiff> diff(const Tallies &before, const Tallies &after);

bool got_worse(const std::vector<CellDiff> &cells);

/// A line for each that is not the same, and how many are.
std::string render_diff(const std::vector<CellDiff> &cells);
/// A document, as text.
std::string diff_as_json(const std::vector<CellDiff> &cells);

} // namespace pidleak::reports

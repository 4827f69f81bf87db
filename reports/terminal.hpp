// Reports on a terminal: a table of verdicts, and for each that is not clean what remains.
#pragma once

#include "reports/outcome.hpp"
#include "reports/tally.hpp"

namespace pidleak::reports {

struct TerminalOptions {
  bool colour = false;
  Deviation deviation = {}; // not set: there is no such column
  bool verbose = false;     // everything of every row
  /// What was done in a replay, in one line; not set, or empty: it is not told.
  std::function<std::string(const Report &)> done = {};
};

/// Of several scenarios on several pools one row for each scenario and start method, and a column for each pool, as far
/// as that fits 120 columns and half of the cells are filled. Else, and if it is verbose, one row for each scenario,
/// pool and start method, in order of appearance. Repeated replays share a cell, which shows how often each verdict
/// came; a row of its own shows the range of the counts and the median of the times as well. `-`: nothing was counted.
std::string render_table(const Tallies &tallies, const TerminalOptions &options);

/// The reason, the evidence and the remaining processes of the first replay of each kind of ending but clean ones where
/// nothing remains. With a deviation: of those that are not as expected. If it is verbose: for each row of the table
/// and each of its verdicts, expected or not; rows with the very same to say share one entry. May be empty.
std::string render_details(const Tallies &tallies, const TerminalOptions &options);

/// `29 clean, 15 leaked`, and with a deviation `; all as expected`, or how many are not.
std::string render_counts(const Tallies &tallies, const Deviation &deviation);

} // namespace pidleak::reports

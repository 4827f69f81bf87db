// Reports as one HTML page, for a browser: overview, and for each kind of ending its evidence, its timeline and what
// remains; or sweeps.
//
// The page needs nothing but itself, and its Content-Security-Policy lets it ask for nothing. Whatever bytes the
// reports hold, they stay text: they travel as JSON in which no markup can start, and the page's script shows them
// as text only.
#pragma once

#include "reports/sweep.hpp"
#include "reports/tally.hpp"

namespace pidleak::reports {

/// The first replay of each kind of ending in full; of the others what came of them, and how long they took. Without
/// JavaScript the page shows the table of verdicts alone, and says so.
std::string render_html(const Tallies &tallies);
/// The same, and before it a row for each scenario and a column for each pool, with what servers did besides.
std::string render_comparison_html(const Tallies &tallies);
/// Of each sweep a strip for each process that was swept, its calls along time, and its classes in full.
std::string render_html(const std::vector<Sweep> &sweeps, const ReplayLine &line);

} // namespace pidleak::reports

// Reports as GitHub's workflow commands, which become annotations of the run.
#pragma once

#include "reports/outcome.hpp"
#include "reports/tally.hpp"

namespace pidleak::reports {

/// A line for each row of the table and each of its verdicts that has not passed: an error for what the pool did, a
/// warning for a replay that says nothing of the pool (invalid, broken), a notice for one that was skipped. Repeated
/// replays share one, as GitHub shows ten of each sort only.
std::string render_annotations(const Tallies &tallies, const Deviation &deviation = {});

} // namespace pidleak::reports

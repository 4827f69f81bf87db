// From a census to its report: what a replay, guard, an attached watcher and the library all write there, in one way.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/census/diagnosis.hpp"
#include "harness/census/genealogy.hpp"
#include "reports/report.hpp"

namespace pidleak::reports {

/// How the wait for rest ended, how long it took, and whether all was seen. `since`: when it began.
void record_settled(Report &report, const census::Settled &settled, Clock::time_point since);

/// What remains, each with its diagnosis, and how many of each kind. `owner`: the pool's, or the command, where it
/// still runs.
void record_remaining(Report &report, std::vector<census::RemainingProcess> remaining,
                      std::optional<census::RemainingProcess> owner, const census::Knowledge &knowledge);

/// Who has created each process of the report, and how much of that is known. For after what remains is recorded.
void record_genealogy(Report &report, const census::Genealogy &genealogy);

} // namespace pidleak::reports

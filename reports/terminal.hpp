// Reports on a terminal: a table of verdicts, and for each that is not clean what remains.
#pragma once

#include "reports/outcome.hpp"

namespace pidleak::reports {

struct TerminalOptions {
  bool colour = false;
  Deviation deviation = {}; // not set: there is no such column
};

/// One row for each scenario, pool and start method, in order of appearance; repeated replays share one, which shows
/// how often each verdict came, the range of the counts and the median of the times. `-`: nobody was counted.
std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options);

/// For each row of the table and each of its verdicts, but clean ones where nothing remains: the reason, the evidence
/// and the remaining processes of the first such replay. Rows with the same to say share one entry. May be empty.
std::string render_details(const std::vector<Report> &reports, const TerminalOptions &options);

} // namespace pidleak::reports

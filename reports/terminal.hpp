// Reports on a terminal: a table of verdicts, and for each that is not clean what remains.
#pragma once

#include "reports/report.hpp"

#include <functional>

namespace pidleak::reports {

struct TerminalOptions {
  bool colour = false;
  /// Empty if the report is as its scenario expects, else what was expected. Not set: there is no such column.
  std::function<std::string(const Report &)> deviation = {};
};

/// One row for each scenario, pool and start method, in order of appearance; repeated replays share one, which shows
/// how often each verdict came, the range of the counts and the median of the times. `-`: nobody was counted.
std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options);

/// For each row of the table and each of its verdicts but clean: the reason, the evidence and the remaining processes
/// of the first such replay. Rows with the same to say share one entry. Empty if all is clean.
std::string render_details(const std::vector<Report> &reports, const TerminalOptions &options);

} // namespace pidleak::reports

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

/// One row for each scenario, pool and start method, in order of appearance; repeated replays share one.
std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options);

/// The reason and the remaining processes of the first replay of each row that is not clean.
std::string render_details(const std::vector<Report> &reports, const TerminalOptions &options);

} // namespace pidleak::reports

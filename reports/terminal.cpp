// The table of verdicts.
#include "reports/terminal.hpp"

#include "reports/layout.hpp"

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Group;

/// The verdict that decides over the exit status.
Verdict worst_of(const Group &group) {
  std::vector<Verdict> all;
  for (const auto *report : group.reports)
    all.push_back(report->verdict);
  auto status = exit_status(all);
  return *std::find_if(all.begin(), all.end(), [&](Verdict verdict) { return exit_status(verdict) == status; });
}

} // namespace

std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options) {
  auto groups = layout::group(reports);
  auto rows = layout::align(layout::table_of(groups, options.deviation), {4, 5, 6, 7});
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r > 0)
      rows[r][3] = layout::coloured(worst_of(groups[r - 1]), rows[r][3], options);
    text += layout::join(rows[r]) + "\n";
  }
  return text;
}

} // namespace pidleak::reports

// The table of verdicts.
#include "reports/terminal.hpp"

#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Group;
using layout::Row;

/// `leaked`, or `197 leaked, 3 clean` of several.
std::string verdict_cell(const Group &group) {
  if (group.reports.size() == 1)
    return spell(group.first().verdict);
  Row parts;
  for (auto [verdict, count] : layout::verdicts_of(group))
    parts.push_back(fmt::format("{} {}", count, spell(verdict)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// The verdict that decides over the exit status.
Verdict worst_of(const Group &group) {
  std::vector<Verdict> all;
  for (const auto *report : group.reports)
    all.push_back(report->verdict);
  auto status = exit_status(all);
  return *std::find_if(all.begin(), all.end(), [&](Verdict verdict) { return exit_status(verdict) == status; });
}

std::string range_of(const Group &group, int Report::*member) {
  std::optional<std::pair<int, int>> range;
  for (const auto *report : group.reports)
    if (layout::counted(*report)) {
      int value = report->*member;
      range =
          range ? std::pair(std::min(range->first, value), std::max(range->second, value)) : std::pair(value, value);
    }
  if (!range)
    return "-";
  return range->first == range->second ? fmt::to_string(range->first)
                                       : fmt::format("{}-{}", range->first, range->second);
}

std::string median_ms(const Group &group) {
  std::vector<double> times;
  for (const auto *report : group.reports)
    if (report->verdict != Verdict::skipped)
      times.push_back(report->total_ms);
  if (times.empty())
    return "-";
  auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return fmt::format("{:.0f} ms", *middle);
}

std::string as_expected(const Group &group, const TerminalOptions &options) {
  std::string deviation;
  std::size_t deviating = 0;
  for (const auto *report : group.reports)
    if (auto text = options.deviation(*report); !text.empty()) {
      ++deviating;
      deviation = printable(text);
    }
  if (deviating == 0)
    return "yes";
  if (deviating == group.reports.size())
    return "NO: " + deviation;
  return fmt::format("NO in {} of {}: {}", deviating, group.reports.size(), deviation);
}

} // namespace

std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options) {
  auto groups = layout::group(reports);
  bool repeated = std::any_of(groups.begin(), groups.end(), [](const Group &g) { return g.reports.size() > 1; });
  std::vector<Row> rows = {
      {"SCENARIO", "POOL", "START", "VERDICT", "LIVE", "ZOMBIE", "HELPER", repeated ? "MEDIAN" : "TIME"}};
  if (options.deviation)
    rows.front().emplace_back("EXPECTED");
  for (const auto &replays : groups) {
    const auto &first = replays.first();
    rows.push_back({printable(first.scenario), printable(first.pool), layout::condition(first, "start-method"),
                    verdict_cell(replays), range_of(replays, &Report::live), range_of(replays, &Report::zombies),
                    range_of(replays, &Report::helpers), median_ms(replays)});
    if (options.deviation)
      rows.back().push_back(as_expected(replays, options));
  }
  rows = layout::align(std::move(rows), {4, 5, 6, 7});
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r > 0)
      rows[r][3] = layout::coloured(worst_of(groups[r - 1]), rows[r][3], options);
    text += layout::join(rows[r]) + "\n";
  }
  return text;
}

} // namespace pidleak::reports

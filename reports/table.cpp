// The cells of the table of verdicts.
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::reports::layout {
namespace {

/// `leaked`, or `197 leaked, 3 clean` of several.
std::string verdict_cell(const Group &group) {
  if (group.reports.size() == 1)
    return spell(group.first().verdict);
  Row parts;
  for (auto [verdict, count] : verdicts_of(group))
    parts.push_back(fmt::format("{} {}", count, spell(verdict)));
  return fmt::format("{}", fmt::join(parts, ", "));
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

std::string as_expected(const Group &group, const Deviation &deviation) {
  std::string expected;
  std::size_t deviating = 0;
  for (const auto *report : group.reports)
    if (auto text = deviation(*report); !text.empty()) {
      ++deviating;
      expected = printable(text);
    }
  if (deviating == 0)
    return "yes";
  if (deviating == group.reports.size())
    return "NO: " + expected;
  return fmt::format("NO in {} of {}: {}", deviating, group.reports.size(), expected);
}

} // namespace

std::vector<Row> table_of(const std::vector<Group> &groups, const Deviation &deviation) {
  bool repeated = std::any_of(groups.begin(), groups.end(), [](const Group &g) { return g.reports.size() > 1; });
  std::vector<Row> rows = {
      {"SCENARIO", "POOL", "START", "VERDICT", "LIVE", "ZOMBIE", "HELPER", repeated ? "MEDIAN" : "TIME"}};
  if (deviation)
    rows.front().emplace_back("EXPECTED");
  for (const auto &replays : groups) {
    const auto &first = replays.first();
    rows.push_back({printable(first.scenario), printable(first.pool), condition(first, "start-method"),
                    verdict_cell(replays), range_of(replays, &Report::live), range_of(replays, &Report::zombies),
                    range_of(replays, &Report::helpers), median_ms(replays)});
    if (deviation)
      rows.back().push_back(as_expected(replays, deviation));
  }
  return rows;
}

} // namespace pidleak::reports::layout

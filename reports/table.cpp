// The cells of the table of verdicts.
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace pidleak::reports::layout {
namespace {

/// `leaked`, or `197 leaked, 3 clean` of several.
std::string verdict_cell(const Tally &tally) {
  if (tally.replays.size() == 1)
    return spell(tally.first().verdict);
  Row parts;
  for (auto [verdict, count] : verdicts_of(tally))
    parts.push_back(fmt::format("{} {}", count, spell(verdict)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string range_of(const Tally &tally, int Report::*member) {
  std::optional<std::pair<int, int>> range;
  for (const auto &ending : tally.endings)
    if (layout::counted(ending.first)) {
      int value = ending.first.*member;
      range =
          range ? std::pair(std::min(range->first, value), std::max(range->second, value)) : std::pair(value, value);
    }
  if (!range)
    return "-";
  return range->first == range->second ? fmt::to_string(range->first)
                                       : fmt::format("{}-{}", range->first, range->second);
}

std::string as_expected(const Tally &tally, const Deviation &deviation) {
  std::string expected;
  std::size_t deviating = 0;
  for (const auto &ending : tally.endings)
    if (auto text = deviation(ending.first); !text.empty()) {
      deviating += ending.count;
      expected = printable(text);
    }
  if (deviating == 0)
    return "yes";
  if (deviating == tally.replays.size())
    return "NO: " + expected;
  return fmt::format("NO in {} of {}: {}", deviating, tally.replays.size(), expected);
}

} // namespace

std::vector<std::pair<const char *, std::string Report::*>> differing_labels(const Tallies &tallies) {
  std::vector<std::pair<const char *, std::string Report::*>> differing;
  for (auto label : {std::pair("MACHINE", &Report::machine), std::pair("KERNEL", &Report::kernel),
                     std::pair("DISTRIBUTION", &Report::distribution)})
    if (std::set<std::string> known; std::any_of(tallies.all().begin(), tallies.all().end(), [&](const Tally &tally) {
          const auto &its = tally.first().*label.second;
          return !its.empty() && known.insert(its).second && known.size() > 1;
        }))
      differing.push_back(label);
  return differing;
}

std::vector<Row> table_of(const Tallies &tallies, const Deviation &deviation) {
  bool repeated =
      std::any_of(tallies.all().begin(), tallies.all().end(), [](const Tally &t) { return t.replays.size() > 1; });
  std::vector<Row> rows = {
      {"SCENARIO", "POOL", "START", "VERDICT", "LIVE", "ZOMBIE", "HELPER", repeated ? "MEDIAN" : "TIME"}};
  if (deviation)
    rows.front().emplace_back("EXPECTED");
  auto labels = differing_labels(tallies);
  for (auto [title, member] : labels)
    rows.front().emplace_back(title);
  for (const auto &tally : tallies.all()) {
    const auto &first = tally.first();
    auto median = median_ms(tally);
    rows.push_back({printable(first.scenario), printable(first.pool), variant(first), verdict_cell(tally),
                    range_of(tally, &Report::live), range_of(tally, &Report::zombies),
                    range_of(tally, &Report::helpers), median ? fmt::format("{:.0f} ms", *median) : "-"});
    if (deviation)
      rows.back().push_back(as_expected(tally, deviation));
    for (auto [title, member] : labels)
      rows.back().push_back(printable(first.*member));
  }
  return rows;
}

} // namespace pidleak::reports::layout

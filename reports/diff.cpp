#include "reports/diff.hpp"

#include "harness/base/json.hpp"
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/outcome.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace pidleak::reports {
namespace {

int badness(Verdict verdict) {
  constexpr Verdict from_good_to_bad[] = {Verdict::clean, Verdict::skipped, Verdict::leaked,
                                          Verdict::hung,  Verdict::invalid, Verdict::broken};
  return static_cast<int>(std::find(std::begin(from_good_to_bad), std::end(from_good_to_bad), verdict) -
                          std::begin(from_good_to_bad));
}

/// There must be one.
const Report &worst(const Cell &cell) {
  const Report *worst = nullptr;
  auto rank = [](const Report &report) { return std::pair(badness(report.verdict), report.live + report.zombies); };
  for_each_ending(cell, [&](const Ending &ending) {
    if (!worst || rank(*worst) < rank(ending.first))
      worst = &ending.first;
  });
  return *worst;
}

/// Of a process whose diagnosis is empty, its kind alone.
std::set<std::string> causes_in(const Cell &cell) {
  std::set<std::string> causes;
  for_each_ending(cell, [&](const Ending &ending) {
    for (const auto &group : growing_groups(ending.first))
      if (!group.oldest.suppressed_by)
        causes.insert(fmt::format("{}: accumulates", printable(group.comm)));
    for (const auto &process : ending.first.remaining) {
      if (process.suppressed_by)
        continue;
      auto name = printable(process.role.empty() ? process.comm : process.role);
      if (process.diagnosis.empty())
        causes.insert(fmt::format("{}: {}", name, spell(process.kind)));
      for (const auto &finding : process.diagnosis)
        causes.insert(fmt::format("{}: {}", name, spell(finding.cause)));
    }
  });
  return causes;
}

void compare_causes(CellDiff &cell) {
  auto before = causes_in(cell.before), after = causes_in(cell.after);
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(cell.new_causes));
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(cell.gone_causes));
}

Change change_of(const CellDiff &cell) {
  if (cell.before.empty())
    return Change::added;
  if (cell.after.empty())
    return Change::removed;
  const auto &before = worst(cell.before), &after = worst(cell.after);
  if (after.verdict == Verdict::skipped && was_judged(before) && before.verdict != Verdict::clean)
    return Change::changed;
  auto was = badness(before.verdict), is = badness(after.verdict);
  if (was == is && was_judged(after)) {
    was = before.live + before.zombies;
    is = after.live + after.zombies;
  }
  if (was != is)
    return is > was ? Change::worse : Change::better;
  bool same = describe(cell.before) == describe(cell.after) && cell.new_causes.empty() && cell.gone_causes.empty();
  return same ? Change::same : Change::changed;
}

CellDiff &cell_of(const Report &report, std::vector<CellDiff> &cells) {
  auto method = layout::variant(report);
  auto found = std::find_if(cells.begin(), cells.end(), [&](const CellDiff &cell) {
    return cell.scenario == report.scenario && cell.pool == report.pool && cell.start_method == method;
  });
  if (found != cells.end())
    return *found;
  CellDiff cell;
  cell.scenario = report.scenario;
  cell.pool = report.pool;
  cell.start_method = method;
  return cells.emplace_back(std::move(cell));
}

nlohmann::ordered_json side_to_json(const Cell &cell) {
  if (cell.empty())
    return nullptr;
  const auto &report = worst(cell);
  return {{"outcome", describe(cell)},
          {"verdict", spell(report.verdict)},
          {"live", report.live},
          {"zombies", report.zombies},
          {"replays", replays_in(cell)}};
}

} // namespace

std::vector<CellDiff> diff(const Tallies &before, const Tallies &after) {
  std::vector<CellDiff> cells;
  for (const auto &tally : before.all())
    cell_of(tally.first(), cells).before.push_back(tally);
  for (const auto &tally : after.all())
    cell_of(tally.first(), cells).after.push_back(tally);
  for (auto &cell : cells) {
    compare_causes(cell);
    cell.change = change_of(cell);
    bool bad_now = !cell.after.empty() && badness(worst(cell.after).verdict) > badness(Verdict::skipped);
    cell.got_worse = cell.change == Change::worse || (cell.change == Change::added && bad_now);
  }
  return cells;
}

bool got_worse(const std::vector<CellDiff> &cells) {
  return std::any_of(cells.begin(), cells.end(), [](const CellDiff &cell) { return cell.got_worse; });
}

std::string render_diff(const std::vector<CellDiff> &cells) {
  std::vector<layout::Row> rows = {{"SCENARIO", "POOL", "START", "BEFORE", "AFTER", "CHANGE"}};
  std::vector<std::string> causes = {""};
  for (const auto &cell : cells) {
    if (cell.change == Change::same)
      continue;
    rows.push_back({printable(cell.scenario), printable(cell.pool), cell.start_method, describe(cell.before),
                    describe(cell.after), cell.change == Change::worse ? "WORSE" : spell(cell.change)});
    auto &lines = causes.emplace_back();
    for (const auto &cause : cell.new_causes)
      lines += fmt::format("  + {}\n", cause);
    for (const auto &cause : cell.gone_causes)
      lines += fmt::format("  - {}\n", cause);
  }
  auto same = cells.size() - (rows.size() - 1);
  std::string text;
  if (rows.size() > 1) {
    rows = layout::align(std::move(rows));
    for (std::size_t i = 0; i < rows.size(); ++i)
      text += fmt::format("{}\n{}", layout::join(rows[i]), causes[i]);
    text += "\n";
  }
  return text + fmt::format("{} the same, {} not{}\n", same, cells.size() - same,
                            got_worse(cells) ? ": something got worse" : "");
}

std::string diff_as_json(const std::vector<CellDiff> &cells) {
  auto list = nlohmann::ordered_json::array();
  for (const auto &cell : cells)
    list.push_back({{"scenario", as_utf8(cell.scenario)},
                    {"pool", as_utf8(cell.pool)},
                    {"start_method", cell.start_method},
                    {"change", spell(cell.change)},
                    {"got_worse", cell.got_worse},
                    {"before", side_to_json(cell.before)},
                    {"after", side_to_json(cell.after)},
                    {"new_causes", cell.new_causes},
                    {"gone_causes", cell.gone_causes}});
  return text_of(nlohmann::ordered_json{{"schema_version", schema_version},
                                        {"got_worse", got_worse(cells)},
                                        {"diff", list}},
                 2) +
         "\n";
}

} // namespace pidleak::reports

#include "reports/comparison.hpp"

#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/markdown.hpp"
#include "reports/outcome.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace pidleak::reports {
namespace {

std::string outcome(const Report &report) {
  auto text = spell(report.verdict);
  bool counted = report.verdict == Verdict::leaked || report.verdict == Verdict::hung;
  return counted ? fmt::format("{} {}/{}", text, report.live, report.zombies) : text;
}

double median_ms(const Cell &cell) {
  std::vector<double> times;
  for (const auto &report : cell.replays)
    times.push_back(report.total_ms);
  std::sort(times.begin(), times.end());
  return times.empty() ? 0 : times[times.size() / 2];
}

std::string with_time(const Cell &cell) {
  auto text = describe(cell);
  bool ran = std::any_of(cell.replays.begin(), cell.replays.end(), was_judged);
  return ran ? fmt::format("{}  {:.0f} ms", text, median_ms(cell)) : text;
}

/// What may come of a race, from the replays in both of its orders.
struct Span {
  std::set<Verdict> verdicts;
  int least_live = 1 << 30, most_live = 0, least_zombies = 1 << 30, most_zombies = 0;

  void add(const Cell &cell) {
    for (const auto &report : cell.replays) {
      verdicts.insert(report.verdict);
      least_live = std::min(least_live, report.live);
      most_live = std::max(most_live, report.live);
      least_zombies = std::min(least_zombies, report.zombies);
      most_zombies = std::max(most_zombies, report.zombies);
    }
  }
  bool contains(const Report &report) const {
    return verdicts.contains(report.verdict) && report.live >= least_live && report.live <= most_live &&
           report.zombies >= least_zombies && report.zombies <= most_zombies;
  }
};

const Cell *find_cell(const Comparison &comparison, const ComparisonRow &like, const std::string &pool) {
  auto column = std::find(comparison.pools.begin(), comparison.pools.end(), pool);
  for (const auto &row : comparison.rows)
    if (row.scenario == like.scenario && row.start_method == like.start_method && column != comparison.pools.end())
      return &row.cells[static_cast<std::size_t>(column - comparison.pools.begin())];
  return nullptr;
}

} // namespace

Comparison compare(const std::vector<Report> &reports) {
  Comparison comparison;
  for (const auto &report : reports)
    if (std::find(comparison.pools.begin(), comparison.pools.end(), report.pool) == comparison.pools.end())
      comparison.pools.push_back(report.pool);
  for (const auto &report : reports) {
    const auto &method = report.conditions.at("start-method");
    auto row = std::find_if(comparison.rows.begin(), comparison.rows.end(), [&](const ComparisonRow &r) {
      return r.scenario == report.scenario && r.start_method == method;
    });
    if (row == comparison.rows.end())
      row = comparison.rows.insert(
          row,
          {.scenario = report.scenario, .start_method = method, .cells = std::vector<Cell>(comparison.pools.size())});
    auto column = std::find(comparison.pools.begin(), comparison.pools.end(), report.pool) - comparison.pools.begin();
    row->cells[static_cast<std::size_t>(column)].replays.push_back(report);
  }
  return comparison;
}

std::string describe(const Cell &cell) {
  std::vector<std::pair<std::string, int>> counts; // in order of appearance
  for (const auto &report : cell.replays) {
    auto text = outcome(report);
    auto known = std::find_if(counts.begin(), counts.end(), [&](const auto &count) { return count.first == text; });
    if (known == counts.end())
      counts.emplace_back(text, 1);
    else
      ++known->second;
  }
  if (counts.empty())
    return "-";
  if (counts.size() == 1)
    return counts.front().first;
  std::vector<std::string> texts;
  for (const auto &[text, count] : counts)
    texts.push_back(fmt::format("{} {}", count, text));
  return fmt::to_string(fmt::join(texts, ", "));
}

std::string render_comparison(const Comparison &comparison) {
  std::vector<layout::Row> rows = {{"SCENARIO", "START"}};
  for (const auto &pool : comparison.pools)
    rows.front().push_back(printable(pool));
  for (const auto &row : comparison.rows) {
    rows.push_back({row.scenario, row.start_method});
    for (const auto &cell : row.cells)
      rows.back().push_back(with_time(cell));
  }
  std::string text;
  for (const auto &row : layout::align(std::move(rows)))
    text += layout::join(row) + "\n";
  return text + "leaked and hung with the numbers of live/zombie workers that remain\n";
}

std::string render_comparison_markdown(const Comparison &comparison) {
  std::string head = "| scenario | start method |", rule = "|---|---|", body;
  for (const auto &pool : comparison.pools) {
    head += fmt::format(" {} |", markdown_text(pool));
    rule += "---|";
  }
  for (const auto &row : comparison.rows) {
    body += fmt::format("| {} | {} |", markdown_text(row.scenario), markdown_text(row.start_method));
    for (const auto &cell : row.cells)
      body += fmt::format(" {} |", markdown_text(describe(cell)));
    body += "\n";
  }
  return head + "\n" + rule + "\n" + body;
}

nlohmann::ordered_json comparison_to_json(const Comparison &comparison) {
  auto cells = nlohmann::ordered_json::array();
  for (const auto &row : comparison.rows)
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      auto outcomes = nlohmann::ordered_json::array();
      for (const auto &report : row.cells[i].replays)
        outcomes.push_back({{"verdict", spell(report.verdict)},
                            {"live", report.live},
                            {"zombies", report.zombies},
                            {"helpers", report.helpers},
                            {"total_ms", report.total_ms},
                            {"pool_version", as_utf8(report.pool_version)},
                            {"reason", as_utf8(report.reason)}});
      cells.push_back({{"scenario", row.scenario},
                       {"start_method", row.start_method},
                       {"pool", as_utf8(comparison.pools[i])},
                       {"replays", outcomes}});
    }
  return {{"schema_version", schema_version}, {"comparison", cells}};
}

std::vector<Difference> find_differences(const Comparison &comparison, const Comparison &other_order,
                                         const std::string &preset, const std::string &real, int &compared) {
  std::vector<Difference> differences;
  compared = 0;
  for (const auto &row : comparison.rows) {
    const auto *model = find_cell(comparison, row, preset), *truth = find_cell(comparison, row, real),
               *model_in_other_order = find_cell(other_order, row, preset);
    if (!model || !truth)
      continue;
    auto skipped = [](const Cell &cell) {
      return std::any_of(cell.replays.begin(), cell.replays.end(),
                         [](const Report &report) { return report.verdict == Verdict::skipped; });
    };
    if (skipped(*model) || skipped(*truth))
      continue;
    ++compared;
    Span span;
    span.add(*model);
    if (model_in_other_order)
      span.add(*model_in_other_order);
    if (!std::all_of(truth->replays.begin(), truth->replays.end(),
                     [&](const Report &report) { return was_judged(report) && span.contains(report); }))
      differences.push_back({.scenario = row.scenario,
                             .start_method = row.start_method,
                             .preset = preset,
                             .real = real,
                             .preset_does = describe(*model),
                             .real_does = describe(*truth)});
  }
  return differences;
}

} // namespace pidleak::reports

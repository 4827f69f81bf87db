#include "reports/comparison.hpp"

#include "harness/base/json.hpp"
#include "harness/base/spelling.hpp"
#include "reports/comparison_facts.hpp"
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

std::string with_time(const Cell &cell) {
  auto time = time_of(cell);
  return time.empty() ? describe(cell) : fmt::format("{}  {}", describe(cell), time);
}

template <class Test>
bool any_report(const Cell &cell, const Test &test) {
  bool any = false;
  for_each_ending(cell, [&](const Ending &ending) { any = any || test(ending.first); });
  return any;
}

/// What may come of a race, from the replays in both of its orders.
struct Span {
  std::set<Verdict> verdicts;
  int least_live = 1 << 30, most_live = 0, least_zombies = 1 << 30, most_zombies = 0;

  void add(const Cell &cell) {
    for_each_ending(cell, [this](const Ending &ending) {
      const auto &report = ending.first;
      verdicts.insert(report.verdict);
      least_live = std::min(least_live, report.live);
      most_live = std::max(most_live, report.live);
      least_zombies = std::min(least_zombies, report.zombies);
      most_zombies = std::max(most_zombies, report.zombies);
    });
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

std::string outcome_words(const Report &report) {
  auto text = spell(report.verdict);
  bool counted = report.verdict == Verdict::leaked || report.verdict == Verdict::hung;
  return counted ? fmt::format("{} {}/{}", text, report.live, report.zombies) : text;
}

std::size_t replays_in(const Cell &cell) {
  std::size_t count = 0;
  for_each_ending(cell, [&](const Ending &ending) { count += ending.count; });
  return count;
}

Comparison compare(const Tallies &tallies) {
  Comparison comparison;
  for (const auto &tally : tallies.all())
    if (const auto &pool = tally.first().pool;
        std::find(comparison.pools.begin(), comparison.pools.end(), pool) == comparison.pools.end())
      comparison.pools.push_back(pool);
  for (const auto &tally : tallies.all()) {
    const auto &report = tally.first();
    auto method = layout::variant(report);
    auto row = std::find_if(comparison.rows.begin(), comparison.rows.end(), [&](const ComparisonRow &r) {
      return r.scenario == report.scenario && r.start_method == method;
    });
    if (row == comparison.rows.end())
      row = comparison.rows.insert(
          row,
          {.scenario = report.scenario, .start_method = method, .cells = std::vector<Cell>(comparison.pools.size())});
    auto column = std::find(comparison.pools.begin(), comparison.pools.end(), report.pool) - comparison.pools.begin();
    row->cells[static_cast<std::size_t>(column)].push_back(tally);
  }
  return comparison;
}

std::string describe(const Cell &cell) {
  std::vector<std::pair<std::string, std::size_t>> counts; // in order of appearance
  for_each_ending(cell, [&](const Ending &ending) {
    auto text = outcome_words(ending.first);
    auto known = std::find_if(counts.begin(), counts.end(), [&](const auto &count) { return count.first == text; });
    if (known == counts.end())
      counts.emplace_back(text, ending.count);
    else
      known->second += ending.count;
  });
  if (counts.empty())
    return "-";
  if (counts.size() == 1)
    return counts.front().first;
  std::vector<std::string> texts;
  for (const auto &[text, count] : counts)
    texts.push_back(fmt::format("{} {}", count, text));
  return fmt::to_string(fmt::join(texts, ", "));
}

namespace {

/// One that is not as expected says what was. Empty: all of them are.
std::string deviation_of(const Cell &cell, const Deviation &deviation) {
  std::string expected;
  for_each_ending(cell, [&](const Ending &ending) {
    if (deviation && was_judged(ending.first) && expected.empty())
      expected = deviation(ending.first);
  });
  return expected;
}

/// Empty where there is one in each.
std::string replays_a_cell(const Comparison &comparison) {
  std::set<std::size_t> counts;
  for (const auto &row : comparison.rows)
    for (const auto &cell : row.cells)
      if (auto count = replays_in(cell); count > 0)
        counts.insert(count);
  if (counts.empty() || *counts.rbegin() == 1)
    return "";
  return counts.size() == 1 ? fmt::format("; {} replays a cell", *counts.begin())
                            : fmt::format("; {} to {} replays a cell", *counts.begin(), *counts.rbegin());
}

std::string in_colour(const Cell &cell, const std::string &text) {
  if (cell.empty())
    return text;
  auto end = text.find_last_not_of(' ') + 1;
  return layout::coloured(worst_of(cell.front()), text.substr(0, end), {.colour = true}) + text.substr(end);
}

} // namespace

std::string render_comparison(const Comparison &comparison, const ComparisonOptions &options) {
  std::vector<layout::Row> rows = {{"SCENARIO", "START"}};
  for (const auto &pool : comparison.pools)
    rows.front().push_back(printable(pool));
  std::string deviations;
  for (const auto &row : comparison.rows) {
    rows.push_back({printable(row.scenario), printable(row.start_method)});
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      const auto &cell = row.cells[c];
      auto text = options.times ? with_time(cell) : describe(cell);
      if (auto expected = deviation_of(cell, options.deviation); !expected.empty()) {
        deviations += fmt::format("! {} on {} with {}: expected {}\n", printable(row.scenario),
                                  printable(comparison.pools[c]), printable(row.start_method), printable(expected));
        text += " !";
      }
      rows.back().push_back(text);
    }
  }
  if (auto notices = notices_of(comparison); !notices.empty()) {
    rows.push_back({notices_title, ""});
    rows.back().insert(rows.back().end(), notices.begin(), notices.end());
  }
  rows = layout::align(std::move(rows));
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 2; options.colour && r > 0 && r <= comparison.rows.size() && c < rows[r].size(); ++c)
      rows[r][c] = in_colour(comparison.rows[r - 1].cells[c - 2], rows[r][c]);
    text += layout::join(rows[r]) + "\n";
  }
  return text + "leaked and hung with the numbers of live/zombie workers that remain" + replays_a_cell(comparison) +
         "\n" + deviations;
}

std::string render_comparison_markdown(const Comparison &comparison) {
  std::string head = "| scenario | start method |", rule = "|---|---|", body;
  for (const auto &pool : comparison.pools) {
    head += fmt::format(" {} |", markdown_text(pool));
    rule += "---|";
  }
  for (const auto &row : comparison.rows) {
    body += fmt::format("| {} | {} |", markdown_text(row.scenario), markdown_text(row.start_method));
    for (const auto &cell : row.cells) {
      auto time = time_of(cell);
      body += fmt::format(" {}{}", markdown_text(describe(cell)), time.empty() ? "" : ", " + time);
      for (const auto &one : facts_of(cell))
        body += fmt::format("<br>{}", markdown_text(one));
      body += " |";
    }
    body += "\n";
  }
  if (auto notices = notices_of(comparison); !notices.empty())
    body += fmt::format("| {} | | {} |\n", notices_title, fmt::join(notices, " | "));
  return head + "\n" + rule + "\n" + body;
}

std::string comparison_as_json(const Comparison &comparison) {
  auto cells = nlohmann::ordered_json::array();
  for (const auto &row : comparison.rows)
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      auto outcomes = nlohmann::ordered_json::array();
      for (const auto &tally : row.cells[i])
        for (const auto &replay : tally.replays) {
          const auto &report = tally.endings[replay.ending].first;
          outcomes.push_back({{"verdict", spell(report.verdict)},
                              {"live", report.live},
                              {"zombies", report.zombies},
                              {"helpers", report.helpers},
                              {"total_ms", replay.total_ms},
                              {"pool_version", as_utf8(report.pool_version)},
                              {"reason", as_utf8(report.reason)}});
        }
      cells.push_back({{"scenario", row.scenario},
                       {"start_method", row.start_method},
                       {"pool", as_utf8(comparison.pools[i])},
                       {"replays", outcomes}});
    }
  return text_of(nlohmann::ordered_json{{"schema_version", schema_version}, {"comparison", cells}}, 2) + "\n";
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
      return any_report(cell, [](const Report &report) { return report.verdict == Verdict::skipped; });
    };
    if (skipped(*model) || skipped(*truth))
      continue;
    ++compared;
    Span span;
    span.add(*model);
    if (model_in_other_order)
      span.add(*model_in_other_order);
    if (any_report(*truth, [&](const Report &report) { return !was_judged(report) || !span.contains(report); }))
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

// What people read of a soak, and its leak report.
#include "harness/base/json.hpp"
#include "harness/base/spelling.hpp"
#include "reports/comparison.hpp"
#include "reports/document.hpp"
#include "reports/layout.hpp"
#include "reports/markdown.hpp"
#include "reports/soak.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Row;
using Json = nlohmann::ordered_json;

/// `leaked 3/0 411, clean 1 !`
std::string distribution_of(const SoakCell &cell) {
  std::vector<std::string> texts;
  for (const auto &outcome : cell.outcomes)
    texts.push_back(fmt::format("{} {}{}", outcome_words(outcome.first), outcome.count, outcome.deviates ? " !" : ""));
  return fmt::to_string(fmt::join(texts, ", "));
}

/// The place of `words` among the rows' first cells, where a row is made for it if there is none.
std::size_t place_of(std::vector<Row> &rows, const Row &words, std::size_t columns) {
  auto row = std::find_if(rows.begin(), rows.end(),
                          [&](const Row &known) { return std::equal(words.begin(), words.end(), known.begin()); });
  if (row == rows.end()) {
    row = rows.insert(row, Row(columns, "-"));
    std::copy(words.begin(), words.end(), row->begin());
  }
  return static_cast<std::size_t>(row - rows.begin());
}

std::vector<Row> matrix_of(const Soak &soak) {
  std::vector<Row> rows = {{"SCENARIO", "START"}};
  auto &head = rows.front();
  for (const auto &cell : soak.cells())
    if (auto pool = printable(cell.first().pool); std::find(head.begin() + 2, head.end(), pool) == head.end())
      head.push_back(pool);
  for (const auto &cell : soak.cells()) {
    const auto &report = cell.first();
    auto &columns = rows.front();
    auto column = std::find(columns.begin() + 2, columns.end(), printable(report.pool)) - columns.begin();
    auto row = place_of(rows, {printable(report.scenario), layout::variant(report)}, columns.size());
    rows[row][static_cast<std::size_t>(column)] = distribution_of(cell);
  }
  // In the order of their names: the one of a soak is drawn by lot.
  std::sort(rows.begin() + 1, rows.end());
  return rows;
}

std::vector<Row> list_of(const Soak &soak) {
  std::vector<Row> rows;
  for (const auto &cell : soak.cells())
    rows.push_back({printable(cell.first().scenario), printable(cell.first().pool), layout::variant(cell.first()),
                    distribution_of(cell)});
  std::sort(rows.begin(), rows.end());
  rows.insert(rows.begin(), {"SCENARIO", "POOL", "START", "OUTCOMES"});
  return rows;
}

std::string lines_of(std::vector<Row> rows) {
  std::string text;
  for (const auto &row : layout::align(std::move(rows)))
    text += layout::join(row) + "\n";
  return text;
}

} // namespace

std::string render_soak(const Soak &soak) {
  auto text = lines_of(matrix_of(soak));
  if (text.find('\n') > layout::widest)
    text = lines_of(list_of(soak));
  text += "what came of each, and how often; leaked and hung with the numbers of live/zombie workers that remain\n";
  for (const auto &cell : soak.cells())
    for (const auto &outcome : cell.outcomes)
      if (outcome.deviates)
        text +=
            fmt::format("! {}: {} in {} of {} replays, first in number {}; {}: {}\n", layout::title_of(cell.first()),
                        outcome_words(outcome.first), outcome.count, cell.replays, outcome.number,
                        cell.is_recorded ? "expected" : "at first", fmt::join(cell.expected, " or "));
  return text;
}

std::string render_soak_markdown(const Soak &soak) {
  auto rows = matrix_of(soak);
  rows.front()[0] = "scenario";
  rows.front()[1] = "start method";
  return markdown_table(std::move(rows));
}

std::string summary_of(const Soak &soak, const SoakRun &run) {
  auto deviating = soak.deviating();
  return fmt::format("{} replays in {:.0f} s, {:.1f} a second, {}; seed {}: {}", soak.replays(), run.seconds,
                     static_cast<double>(soak.replays()) / std::max(run.seconds, 0.001),
                     run.load.empty() ? "without a load" : fmt::format("beside {}", fmt::join(run.load, ", ")),
                     run.seed, deviating == 0 ? "all as expected" : fmt::format("{} deviate", deviating));
}

std::string soak_document(const Soak &soak, const SoakRun &run) {
  auto document = document_head();
  bool is_first = true;
  Json cells = Json::array();
  for (const auto &cell : soak.cells()) {
    Json outcomes = Json::array();
    for (const auto &outcome : cell.outcomes) {
      document += document_element(outcome.first, is_first);
      is_first = false;
      outcomes.push_back({{"verdict", spell(outcome.first.verdict)},
                          {"live", outcome.first.live},
                          {"zombies", outcome.first.zombies},
                          {"count", outcome.count},
                          {"first", outcome.number},
                          {"deviates", outcome.deviates}});
    }
    cells.push_back({{"scenario", as_utf8(cell.first().scenario)},
                     {"pool", as_utf8(cell.first().pool)},
                     {"workers", cell.first().workers},
                     {"conditions", cell.first().conditions},
                     {"expected", cell.expected},
                     {"is_recorded", cell.is_recorded},
                     {"outcomes", outcomes}});
  }
  return document + document_tail(is_first, {},
                                  text_of(Json{{"seed", run.seed},
                                               {"load", run.load},
                                               {"seconds", run.seconds},
                                               {"replays", soak.replays()},
                                               {"deviating", soak.deviating()},
                                               {"cells", cells}},
                                          2));
}

} // namespace pidleak::reports

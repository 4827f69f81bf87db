// Fills the page in reports/page/ with reports. How they are shown is that page's affair.
#include "reports/html.hpp"

#include "harness/base/json.hpp"
#include "reports/comparison_facts.hpp"
#include "reports/layout.hpp"
#include "reports/page.hpp"
#include "reports/sweep_words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

namespace pidleak::reports {
namespace {

using Replacement = std::pair<std::string_view, std::string_view>;

template <std::size_t N>
std::string replace_all(std::string_view text, const std::array<Replacement, N> &replacements) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    std::string_view taken = text.substr(0, 1), put = taken;
    for (const auto &[from, to] : replacements)
      if (text.starts_with(from))
        taken = from, put = to;
    result += put;
    text.remove_prefix(taken.size());
  }
  return result;
}

/// JSON that means the same, in which neither a tag nor a comment can start or end, nor a line to JavaScript.
std::string as_script_data(const std::string &json) {
  constexpr std::array<Replacement, 5> escapes = {
      {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}}};
  return replace_all(json, escapes);
}

std::string as_html(const std::string &bytes) {
  constexpr std::array<Replacement, 5> escapes = {
      {{"<", "&lt;"}, {">", "&gt;"}, {"&", "&amp;"}, {"\"", "&quot;"}, {"'", "&#39;"}}};
  return replace_all(printable(bytes), escapes);
}

std::string as_table(const std::vector<layout::Row> &rows) {
  std::string text = "<table>\n";
  const char *tag = "th";
  for (const auto &row : rows) {
    text += "<tr>";
    for (const auto &cell : row)
      text += fmt::format("<{0}>{1}</{0}>", tag, as_html(cell));
    text += "</tr>\n";
    tag = "td";
  }
  return text + "</table>";
}

/// `endings`: the first replay of each in full, its place and how many there were. `replays`: ending and milliseconds
/// of each, in order.
nlohmann::ordered_json data_of(const Tally &tally) {
  auto endings = nlohmann::ordered_json::array(), replays = nlohmann::ordered_json::array();
  for (const auto &ending : tally.endings)
    endings.push_back({{"place", ending.place}, {"count", ending.count}, {"report", to_json(ending.first)}});
  for (const auto &replay : tally.replays) // three digits tell enough, and a float's seven would be half the page
    replays.push_back({replay.ending, std::round(replay.total_ms * 10.0) / 10});
  return {{"endings", endings}, {"replays", replays}};
}

/// What came of the faults at each point: the place of its class, or `clean`, `unreached`, `untried`.
std::map<std::string, nlohmann::ordered_json> outcomes_of(const Sweep &sweep) {
  std::map<std::string, nlohmann::ordered_json> outcomes;
  for (const auto &point : sweep.points())
    outcomes[point.point] = point.reached > 0 ? "clean" : point.replays > 0 ? "unreached" : "untried";
  auto classes = sweep.classes();
  for (std::size_t i = classes.size(); i-- > 0;) // the first class of a point counts
    for (auto [place, count] : classes[i]->points)
      outcomes[sweep.points()[place].point] = i;
  return outcomes;
}

/// `points`: without their role; what each is about; what came of it.
nlohmann::ordered_json strip_of(const RecordedProcess &process,
                                const std::map<std::string, nlohmann::ordered_json> &outcomes) {
  auto points = nlohmann::ordered_json::array();
  bool was_swept = false;
  for (const auto &recorded : process.points) {
    auto found = outcomes.find(recorded.point);
    was_swept = was_swept || found != outcomes.end();
    points.push_back({recorded.point.substr(recorded.point.find(':') + 1), recorded.about,
                      found == outcomes.end() ? "untried" : found->second});
  }
  return was_swept ? nlohmann::ordered_json{{"actor", process.actor}, {"points", points}} : nlohmann::ordered_json();
}

nlohmann::ordered_json data_of(const Sweep &sweep, const ReplayLine &line) {
  auto processes = nlohmann::ordered_json::array(), classes = nlohmann::ordered_json::array();
  auto outcomes = outcomes_of(sweep);
  for (const auto &process : sweep.recording().recording)
    if (auto strip = strip_of(process, outcomes); !strip.is_null())
      processes.push_back(std::move(strip));
  for (const auto *one : sweep.classes()) {
    auto points = nlohmann::ordered_json::array();
    for (auto [place, count] : one->points)
      points.push_back(sweep.points()[place].point);
    classes.push_back({{"fault", one->fault},
                       {"what", what_happened(*one)},
                       {"often", how_often(sweep, *one)},
                       {"line", line(sweep, *one)},
                       {"points", points},
                       {"report", to_json(one->first)}});
  }
  return {
      {"title", title_of(sweep)}, {"coverage", coverage_line(sweep)}, {"processes", processes}, {"classes", classes}};
}

nlohmann::ordered_json cells_of(const Tallies &tallies) {
  auto cells = nlohmann::ordered_json::array();
  for (const auto &tally : tallies.all())
    cells.push_back(data_of(tally));
  return cells;
}

/// The places of the tallies that each cell of the comparison has, by scenario, variant and pool.
std::map<std::array<std::string, 3>, std::vector<std::size_t>> places_of(const Tallies &tallies) {
  std::map<std::array<std::string, 3>, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < tallies.all().size(); ++i) {
    const auto &report = tallies.all()[i].first();
    places[{report.scenario, layout::variant(report), report.pool}].push_back(i);
  }
  return places;
}

nlohmann::ordered_json data_of(const Comparison &comparison, const Tallies &tallies) {
  auto places = places_of(tallies);
  auto rows = nlohmann::ordered_json::array();
  for (const auto &row : comparison.rows) {
    auto cells = nlohmann::ordered_json::array();
    for (std::size_t c = 0; c < row.cells.size(); ++c)
      cells.push_back({{"places", places[{row.scenario, row.start_method, comparison.pools[c]}]},
                       {"time", time_of(row.cells[c])},
                       {"facts", facts_of(row.cells[c])}});
    rows.push_back({{"scenario", as_utf8(row.scenario)}, {"start", row.start_method}, {"cells", cells}});
  }
  auto pools = nlohmann::ordered_json::array();
  for (const auto &pool : comparison.pools)
    pools.push_back(as_utf8(pool));
  return {{"pools", pools}, {"rows", rows}, {"notices", notices_of(comparison)}, {"notices_title", notices_title}};
}

std::vector<layout::Row> table_of(const Comparison &comparison) {
  std::vector<layout::Row> rows = {{"SCENARIO", "START"}};
  rows.front().insert(rows.front().end(), comparison.pools.begin(), comparison.pools.end());
  for (const auto &row : comparison.rows) {
    rows.push_back({row.scenario, row.start_method});
    for (const auto &cell : row.cells)
      rows.back().push_back(fmt::format("{} {}", describe(cell), fmt::join(facts_of(cell), "; ")));
  }
  if (auto notices = notices_of(comparison); !notices.empty()) {
    rows.push_back({notices_title, ""});
    rows.back().insert(rows.back().end(), notices.begin(), notices.end());
  }
  return rows;
}

std::string fill_page(const std::string &table, const nlohmann::ordered_json &data) {
  auto page = std::string(page::before_table);
  page += table;
  page += page::before_data;
  page += as_script_data(text_of(data));
  page += page::after_data;
  return page;
}

} // namespace

std::string render_html(const Tallies &tallies) {
  return fill_page(as_table(layout::table_of(tallies, {})),
                   {{"cells", cells_of(tallies)}, {"sweeps", nlohmann::ordered_json::array()}});
}

std::string render_comparison_html(const Tallies &tallies) {
  auto comparison = compare(tallies);
  return fill_page(as_table(table_of(comparison)) + "\n" + as_table(layout::table_of(tallies, {})),
                   {{"cells", cells_of(tallies)},
                    {"sweeps", nlohmann::ordered_json::array()},
                    {"comparison", data_of(comparison, tallies)}});
}

std::string render_html(const std::vector<Sweep> &sweeps, const ReplayLine &line) {
  std::string tables;
  auto data = nlohmann::ordered_json::array();
  for (const auto &sweep : sweeps) {
    tables += as_table(table_of(sweep));
    data.push_back(data_of(sweep, line));
  }
  return fill_page(tables, {{"cells", nlohmann::ordered_json::array()}, {"sweeps", data}});
}

} // namespace pidleak::reports

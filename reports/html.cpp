// Fills the page in reports/page/ with reports. How they are shown is that page's affair.
#include "reports/html.hpp"

#include "harness/base/json.hpp"
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/page.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
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

std::string table_of_verdicts(const std::vector<Report> &reports) {
  std::string text = "<table>\n<tr><th>Scenario</th><th>Pool</th><th>Start method</th><th>Verdict</th><th>Live</th>"
                     "<th>Zombie</th><th>Helper</th><th>Time</th></tr>\n";
  for (const auto &report : reports) {
    text += "<tr>";
    auto count = [&](int value) { return layout::counted(report) ? fmt::to_string(value) : "-"; };
    for (const auto &cell :
         {as_html(report.scenario), as_html(report.pool), as_html(layout::condition(report, "start-method")),
          spell(report.verdict), count(report.live), count(report.zombies), count(report.helpers),
          report.verdict == Verdict::skipped ? "-" : fmt::format("{:.0f} ms", report.total_ms)})
      text += fmt::format("<td>{}</td>", cell);
    text += "</tr>\n";
  }
  return text + "</table>";
}

} // namespace

std::string render_html(const std::vector<Report> &reports) {
  auto data = nlohmann::ordered_json::array();
  for (const auto &report : reports)
    data.push_back(to_json(report));
  auto page = std::string(page::before_table);
  page += table_of_verdicts(reports);
  page += page::before_data;
  page += as_script_data(text_of(data));
  page += page::after_data;
  return page;
}

} // namespace pidleak::reports

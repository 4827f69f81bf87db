// Fills the page in reports/page/ with reports. How they are shown is that page's affair.
#include "reports/html.hpp"

#include "harness/base/json.hpp"
#include "reports/layout.hpp"
#include "reports/page.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
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

std::string table_of_verdicts(const Tallies &tallies) {
  std::string text = "<table>\n";
  const char *tag = "th";
  for (const auto &row : layout::table_of(tallies, {})) {
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

} // namespace

std::string render_html(const Tallies &tallies) {
  auto data = nlohmann::ordered_json::array();
  for (const auto &tally : tallies.all())
    data.push_back(data_of(tally));
  auto page = std::string(page::before_table);
  page += table_of_verdicts(tallies);
  page += page::before_data;
  page += as_script_data(text_of(data));
  page += page::after_data;
  return page;
}

} // namespace pidleak::reports

#include "reports/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pidleak::reports::layout {
namespace {

const char *colour_of(Verdict verdict) {
  switch (verdict) {
  case Verdict::clean:
    return "\x1b[32m";
  case Verdict::leaked:
  case Verdict::hung:
    return "\x1b[31m";
  case Verdict::skipped:
    return "\x1b[2m";
  default:
    return "\x1b[35m";
  }
}

/// Cells that a terminal shows of `text`: one a code point, as far as can be told without fonts.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

} // namespace

std::vector<Row> align(std::vector<Row> rows, const std::vector<std::size_t> &right_aligned) {
  std::size_t columns = 0;
  for (const auto &row : rows)
    columns = std::max(columns, row.size());
  for (std::size_t c = 0; c < columns; ++c) {
    std::size_t width = 0;
    for (const auto &row : rows)
      width = std::max(width, c < row.size() ? width_of(row[c]) : 0);
    bool right = std::find(right_aligned.begin(), right_aligned.end(), c) != right_aligned.end();
    for (auto &row : rows)
      if (c < row.size())
        row[c].insert(right ? 0 : row[c].size(), width - width_of(row[c]), ' ');
  }
  return rows;
}

std::string join(const Row &row) {
  std::string line;
  for (const auto &cell : row)
    if (!cell.empty())
      line += (line.empty() ? "" : "  ") + cell;
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string wrapped(const std::string &head, const std::string &text, std::size_t hanging) {
  std::string lines, line = head;
  bool is_empty = true; // but for its head
  for (std::string_view rest = text; !rest.empty();) {
    auto word = rest.substr(0, rest.find(' '));
    if (!is_empty && width_of(line) + 1 + width_of(word) > widest) {
      lines += line + "\n";
      line.assign(hanging, ' ');
      is_empty = true;
    }
    if (!is_empty)
      line += ' ';
    line += word;
    is_empty = false;
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  }
  return lines + line + "\n";
}

std::string coloured(Verdict verdict, const std::string &text, const TerminalOptions &options) {
  return options.colour ? colour_of(verdict) + text + "\x1b[0m" : text;
}

std::string condition(const Report &report, const std::string &name) {
  auto found = report.conditions.find(name);
  return found == report.conditions.end() ? "" : printable(found->second);
}

std::string variant(const Report &report) {
  if (auto method = condition(report, "start-method"); !method.empty())
    return method;
  auto tasks = condition(report, "tasks");
  return tasks == "ended"    ? "idle workers"
         : tasks == "finish" ? "a busy worker"
         : tasks.empty()     ? ""
                             : "a stuck worker";
}

bool counted(const Report &report) {
  return report.verdict != Verdict::skipped &&
         (report.census_complete || report.live + report.zombies + report.helpers > 0);
}

std::string title_of(const Report &report) {
  auto title = fmt::format("{} on {}", printable(report.scenario), printable(report.pool));
  if (auto method = variant(report); !method.empty())
    title.append(" with ").append(method);
  return title;
}

} // namespace pidleak::reports::layout

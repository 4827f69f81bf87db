#include "reports/markdown.hpp"

#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Row;

constexpr std::size_t most_processes = 50; // of one replay: GitHub refuses a summary of more than 1 MiB

std::string table_row(const Row &cells) {
  std::string line = "|";
  for (const auto &cell : cells)
    line += fmt::format(" {} |", cell);
  return line + "\n";
}

std::string table(const std::vector<Row> &rows) {
  auto text = table_row(rows.front()) + "|";
  for (std::size_t i = 0; i < rows.front().size(); ++i)
    text += "---|";
  text += "\n";
  for (auto row = rows.begin() + 1; row != rows.end(); ++row)
    text += table_row(*row);
  return text;
}

/// Why it is there, and what lets it remain.
std::string why(const census::RemainingProcess &process) {
  Row lines;
  for (const auto &finding : process.diagnosis) {
    lines.push_back(markdown_text(cause_of(finding)));
    if (!finding.cure.empty())
      lines.push_back("cure: " + markdown_text(printable(finding.cure)));
  }
  if (process.suppressed_by)
    lines.push_back(fmt::format("suppressed: {}", markdown_text(*process.suppressed_by)));
  return fmt::format("{}", fmt::join(lines, "<br>"));
}

std::string remaining_table(const Report &report) {
  std::vector<Row> rows = {{"PID", "KIND", "PROCESS", "SIGTERM", "WAITS", "WHY"}};
  auto shown = std::min(report.remaining.size(), most_processes);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto &process = report.remaining[i];
    auto words = row_of(process); // pid, outside, kind, name, SIGTERM, waits
    auto sigterm = words[4].substr(std::min(words[4].size(), std::string("SIGTERM ").size()));
    rows.push_back({fmt::to_string(process.pid), markdown_text(words[2]), markdown_text(words[3]),
                    markdown_text(sigterm), markdown_text(words[5]), why(process)});
  }
  auto count = report.remaining.size();
  auto text = fmt::format("<details><summary>{} process{} remain{}</summary>\n\n{}", count, count == 1 ? "" : "es",
                          count == 1 ? "s" : "", table(rows));
  if (count > shown)
    text += fmt::format("\nand {} more.\n", count - shown);
  return text + "\n</details>\n";
}

std::string growth(const Report &report) {
  std::string text;
  for (const auto &group : growing_groups(report)) {
    text += fmt::format("- {}\n", markdown_text(sentence_of(group)));
    if (auto causes = why(group.oldest); !causes.empty())
      text += fmt::format("  <br>the oldest, pid {}: {}\n", group.oldest.pid, causes);
  }
  return text;
}

std::string rules(const Report &report) {
  std::string text;
  for (const auto &suppression : report.suppressions)
    if (suppression.used > 0 || suppression.expired)
      text +=
          fmt::format("- suppression {}, {}: {}\n", markdown_text(suppression.rule),
                      suppression.expired ? fmt::format("expired on {}", markdown_text(suppression.expires)) : "used",
                      markdown_text(suppression.reason));
  return text;
}

std::string entry(const Tally &tally, const Report &report, std::size_t count, const Deviation &deviation) {
  auto text = fmt::format("\n### {}: {}", spell(report.verdict), markdown_text(layout::title_of(report)));
  if (tally.replays.size() > 1)
    text += fmt::format(", in {} of {} replays", count, tally.replays.size());
  if (deviation && outcome_of(report, deviation) == Outcome::passed)
    text += ", as expected";
  text += fmt::format("\n\n**Reason:** {}\n", markdown_text(reason_of(report, deviation)));
  std::string missing;
  if (report.verdict != Verdict::skipped)
    for (const auto &evidence : report.evidence)
      if (!evidence.shown)
        missing +=
            fmt::format("- not shown: {}: {}\n", markdown_text(evidence.condition), markdown_text(evidence.text));
  for (const auto &part :
       {missing, growth(report), rules(report), report.remaining.empty() ? "" : remaining_table(report)})
    if (!part.empty())
      text.append("\n").append(part);
  return text;
}

} // namespace

std::string markdown_table(std::vector<layout::Row> rows) {
  for (auto &row : rows)
    for (auto &cell : row)
      cell = markdown_text(cell);
  return table(rows);
}

std::string markdown_text(const std::string &bytes) {
  std::string text;
  for (char c : printable(bytes))
    if (c == '&')
      text += "&amp;";
    else if (c == '<')
      text += "&lt;";
    else if (c == '>')
      text += "&gt;";
    else if (std::string_view("\\`*_[]|~#$").find(c) != std::string_view::npos)
      text.append({'\\', c});
    else if (c == '@') // or it would notify the user of that name
      text += "@<!-- -->";
    else
      text += c;
  return text;
}

std::string render_markdown(const Tallies &tallies, const Deviation &deviation) {
  auto text = fmt::format("## pidleak\n\n{}", markdown_table(layout::table_of(tallies, deviation)));
  for (const auto &tally : tallies.all())
    for (auto [verdict, count] : verdicts_of(tally)) {
      const auto &report = first_with(verdict, tally).first;
      bool nothing_to_tell =
          verdict == Verdict::clean && report.remaining.empty() && outcome_of(report, deviation) == Outcome::passed;
      if (!nothing_to_tell)
        text += entry(tally, report, count, deviation);
    }
  return text;
}

} // namespace pidleak::reports

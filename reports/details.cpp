// What there is to say of every row of the table that is not clean.
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Group;
using layout::Row;

std::string standard_error(const std::string &bytes) {
  std::string text = "  the subject's standard error ends with:\n";
  auto shown = printable(bytes, LineBreaks::kept);
  for (std::string_view rest = shown; !rest.empty();) {
    auto line = rest.substr(0, rest.find('\n'));
    text += fmt::format("  |{}{}\n", line.empty() ? "" : " ", line); // marked: it may look like a report
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return text;
}

std::string body_of(const Report &report) {
  auto text = fmt::format("  {}\n", printable(report.reason));
  if (report.verdict != Verdict::skipped)
    for (const auto &evidence : report.evidence)
      text += fmt::format("  {} {}: {}\n", evidence.shown ? "shown    " : "NOT SHOWN", printable(evidence.condition),
                          printable(evidence.text));
  for (const auto &event : report.timeline)
    if (event.event == "mistake")
      text += fmt::format("  mistake   {}\n", printable(event.detail));
  text += growth_lines(growing_groups(report), "  ") + remaining_lines(report, "  ") + suppression_lines(report, "  ");
  if (report.settled_by)
    text +=
        fmt::format("  settled   by {} after {:.{}f} ms{}\n", spell(*report.settled_by), report.settle_ms,
                    report.settle_ms < 100 ? 1 : 0,
                    report.not_quiescent_because.empty() ? "" : " (" + printable(report.not_quiescent_because) + ")");
  if (report.verdict == Verdict::broken && !report.subject_stderr.empty())
    text += standard_error(report.subject_stderr);
  return text;
}

/// `leaked`, of several `leaked in 2 of 4 replays (shown: replay 3)`.
std::string verdict_in(const Group &group, const Report &shown, int count, const TerminalOptions &options) {
  auto text = layout::coloured(shown.verdict, spell(shown.verdict), options);
  if (group.reports.size() == 1)
    return text;
  text += fmt::format(" in {} of {} replays", count, group.reports.size());
  auto place = std::find(group.reports.begin(), group.reports.end(), &shown) - group.reports.begin();
  return shown.verdict == Verdict::skipped ? text : text + fmt::format(" (shown: replay {})", place + 1);
}

/// What some rows of the table have to say, all of them the same.
struct Entry {
  struct Title {
    std::string scenario, start_method;
    Row pools;
  };
  std::vector<Title> titles;
  std::string verdict, body;
};

void add(std::vector<Entry> &entries, const Report &report, const std::string &verdict) {
  auto body = body_of(report);
  auto entry = std::find_if(entries.begin(), entries.end(),
                            [&](const Entry &e) { return e.verdict == verdict && e.body == body; });
  if (entry == entries.end())
    entry = entries.insert(entry, {.titles = {}, .verdict = verdict, .body = body});
  auto scenario = printable(report.scenario), method = layout::condition(report, "start-method");
  auto title = std::find_if(entry->titles.begin(), entry->titles.end(),
                            [&](const Entry::Title &t) { return t.scenario == scenario && t.start_method == method; });
  if (title == entry->titles.end())
    title = entry->titles.insert(title, {.scenario = scenario, .start_method = method, .pools = {}});
  title->pools.push_back(printable(report.pool));
}

} // namespace

std::string render_details(const std::vector<Report> &reports, const TerminalOptions &options) {
  std::vector<Entry> entries;
  for (const auto &replays : layout::group(reports))
    for (auto [verdict, count] : layout::verdicts_of(replays)) {
      const auto &shown = layout::first_with(verdict, replays);
      if (verdict == Verdict::clean && shown.remaining.empty())
        continue;
      add(entries, shown, verdict_in(replays, shown, count, options));
    }
  std::string text;
  for (const auto &entry : entries) {
    text += "\n";
    for (const auto &title : entry.titles)
      text += fmt::format("{} on {}{}: {}\n", title.scenario, fmt::join(title.pools, ", "),
                          title.start_method.empty() ? "" : " with " + title.start_method, entry.verdict);
    text += entry.body;
  }
  return text;
}
} // namespace pidleak::reports

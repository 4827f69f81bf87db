// What there is to say of every row of the table that is not clean.
#include "harness/base/spelling.hpp"
#include "harness/os/procfs.hpp"
#include "reports/layout.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace pidleak::reports {
namespace {

using layout::Group;
using layout::Row;

/// `waits in futex`, of several threads `3 threads: futex, poll`.
std::string waits_of(const census::RemainingProcess &process) {
  Row calls;
  for (const auto &wait : process.waits)
    if (auto call = printable(wait.syscall);
        !call.empty() && std::find(calls.begin(), calls.end(), call) == calls.end())
      calls.push_back(call);
  if (calls.empty())
    return "";
  if (process.waits.size() > 1)
    return fmt::format("{} threads: {}", process.waits.size(), fmt::join(calls, ", "));
  if (calls.front() == "running")
    return "runs";
  return calls.front() == "none" ? "blocked, in no system call" : "waits in " + calls.front();
}

Row describe(const census::RemainingProcess &process) {
  auto kind = spell(process.kind);
  if (process.state == census::ProcessState::uninterruptible) // no signal ends it: not the pool's fault alone
    kind += " (uninterruptible)";
  return {fmt::format("pid {}", process.pid),
          process.outside_pid && *process.outside_pid != process.pid ? fmt::format("outside {}", *process.outside_pid)
                                                                     : "",
          kind,
          printable(process.role.empty() ? process.comm : process.role),
          process.status ? "SIGTERM " + spell(os::action_of(*process.status, SIGTERM)) : "",
          waits_of(process)};
}

/// `read < get < run_worker`: without what they take, and no more of them than fit.
std::string innermost_calls(const Row &stack) {
  constexpr std::size_t most = 8;
  Row calls;
  for (std::size_t i = 0; i < std::min(stack.size(), most); ++i)
    calls.push_back(printable(stack[i].substr(0, stack[i].rfind('('))));
  return fmt::format("{}{}", fmt::join(calls, " < "), stack.size() > most ? " < ..." : "");
}

/// A line for each process, and below it why it is there.
std::string describe_all(const std::string &title, const std::vector<census::RemainingProcess> &processes) {
  std::vector<Row> rows;
  for (const auto &process : processes)
    rows.push_back(describe(process));
  rows = layout::align(std::move(rows));
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += fmt::format("  {:<9} {}\n", title, layout::join(rows[i]));
    for (const auto &wait : processes[i].waits)
      if (!wait.stack.empty())
        text += fmt::format("              thread {} is in {}\n", wait.thread, innermost_calls(wait.stack));
    for (const auto &finding : processes[i].diagnosis)
      text += fmt::format("              {}: {}\n", spell(finding.cause), printable(finding.text));
  }
  return text;
}

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
  text += describe_all("remains", report.remaining);
  if (report.owner && report.verdict == Verdict::hung) // where shutdown waits
    text += describe_all("owner", {*report.owner});
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
      if (verdict == Verdict::clean)
        continue;
      const auto &shown = **std::find_if(replays.reports.begin(), replays.reports.end(),
                                         [wanted = verdict](const Report *r) { return r->verdict == wanted; });
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

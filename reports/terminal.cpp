#include "reports/terminal.hpp"

#include "harness/base/spelling.hpp"
#include "harness/os/procfs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace pidleak::reports {
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

std::string condition(const Report &report, const std::string &name) {
  auto found = report.conditions.find(name);
  return found == report.conditions.end() ? "" : printable(found->second);
}

/// Replays of the same thing, in order.
struct Group {
  std::vector<const Report *> reports;
  const Report &first() const { return *reports.front(); }
};

std::vector<Group> group(const std::vector<Report> &reports) {
  std::vector<Group> groups;
  for (const auto &report : reports) {
    auto same = std::find_if(groups.begin(), groups.end(), [&](const Group &g) {
      return g.first().scenario == report.scenario && g.first().pool == report.pool &&
             g.first().conditions == report.conditions && g.first().workers == report.workers;
    });
    if (same == groups.end())
      groups.push_back({.reports = {&report}});
    else
      same->reports.push_back(&report);
  }
  return groups;
}

/// `leaked`, or `197 leaked, 3 clean` of several that differ.
std::string verdicts_of(const Group &group) {
  std::vector<std::pair<Verdict, int>> counts;
  for (const auto *report : group.reports) {
    auto found = std::find_if(counts.begin(), counts.end(), [&](const auto &c) { return c.first == report->verdict; });
    if (found == counts.end())
      counts.emplace_back(report->verdict, 1);
    else
      ++found->second;
  }
  if (group.reports.size() == 1)
    return spell(counts.front().first);
  std::vector<std::string> parts;
  for (auto [verdict, count] : counts)
    parts.push_back(fmt::format("{} {}", count, spell(verdict)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string range_of(const Group &group, int Report::*member) {
  auto [least, most] = std::minmax_element(group.reports.begin(), group.reports.end(),
                                           [&](const Report *a, const Report *b) { return a->*member < b->*member; });
  return (*least)->*member == (*most)->*member ? fmt::to_string((*least)->*member)
                                               : fmt::format("{}-{}", (*least)->*member, (*most)->*member);
}

double median_ms(const Group &group) {
  std::vector<double> times;
  for (const auto *report : group.reports)
    times.push_back(report->total_ms);
  std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

std::string describe(const census::RemainingProcess &process) {
  auto text = fmt::format("pid {}", process.pid);
  if (process.outside_pid && *process.outside_pid != process.pid)
    text += fmt::format(" (outside {})", *process.outside_pid);
  text += fmt::format(" {} {}", spell(process.kind), printable(process.role.empty() ? process.comm : process.role));
  if (process.status)
    text += fmt::format(", SIGTERM {}", spell(os::action_of(*process.status, SIGTERM)));
  if (!process.waits.empty() && !process.waits.front().syscall.empty())
    text += fmt::format(", waits in {}", printable(process.waits.front().syscall));
  return text;
}

} // namespace

std::string render_table(const std::vector<Report> &reports, const TerminalOptions &options) {
  std::vector<std::vector<std::string>> rows = {
      {"SCENARIO", "POOL", "START", "VERDICT", "LIVE", "ZOMBIE", "HELPER", "TIME"}};
  if (options.deviation)
    rows.front().emplace_back("EXPECTED");
  auto groups = group(reports);
  for (const auto &replays : groups) {
    const auto &first = replays.first();
    rows.push_back({printable(first.scenario), printable(first.pool), condition(first, "start-method"),
                    verdicts_of(replays), range_of(replays, &Report::live), range_of(replays, &Report::zombies),
                    range_of(replays, &Report::helpers), fmt::format("{:.0f} ms", median_ms(replays))});
    if (options.deviation) {
      std::string expected = "yes";
      for (const auto *report : replays.reports)
        if (auto deviation = options.deviation(*report); !deviation.empty())
          expected = "NO: " + printable(deviation);
      rows.back().push_back(expected);
    }
  }
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto &row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      auto cell = i >= 4 && i <= 7 ? fmt::format("{:>{}}", rows[r][i], widths[i])
                                   : fmt::format("{:<{}}", rows[r][i], widths[i]);
      if (options.colour && r > 0 && i == 3)
        cell = colour_of(groups[r - 1].first().verdict) + cell + "\x1b[0m";
      line += (i ? "  " : "") + cell;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string render_details(const std::vector<Report> &reports, const TerminalOptions &options) {
  std::string text;
  for (const auto &replays : group(reports)) {
    const Report *shown = nullptr;
    for (const auto *report : replays.reports)
      if (report->verdict != Verdict::clean && !shown)
        shown = report;
    if (!shown)
      continue;
    text += fmt::format("\n{} on {} with {}: {}{}{}\n  {}\n", printable(shown->scenario), printable(shown->pool),
                        condition(*shown, "start-method"), options.colour ? colour_of(shown->verdict) : "",
                        spell(shown->verdict), options.colour ? "\x1b[0m" : "", printable(shown->reason));
    if (shown->verdict != Verdict::skipped)
      for (const auto &evidence : shown->evidence)
        text += fmt::format("  {} {}: {}\n", evidence.shown ? "shown    " : "NOT SHOWN", printable(evidence.condition),
                            printable(evidence.text));
    for (const auto &process : shown->remaining)
      text += fmt::format("  remains   {}\n", describe(process));
    if (shown->settled_by)
      text +=
          fmt::format("  settled   by {} after {:.1f} ms{}\n", spell(*shown->settled_by), shown->settle_ms,
                      shown->not_quiescent_because.empty() ? "" : " (" + printable(shown->not_quiescent_because) + ")");
    if (shown->verdict == Verdict::broken && !shown->subject_stderr.empty())
      text += fmt::format("  the subject's standard error ends with:\n{}\n",
                          printable(shown->subject_stderr, LineBreaks::kept));
  }
  return text;
}

} // namespace pidleak::reports

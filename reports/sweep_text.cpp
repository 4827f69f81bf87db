// Sweeps for people: on a terminal, and as Markdown.
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/markdown.hpp"
#include "reports/remaining_text.hpp"
#include "reports/sweep_words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <tuple>

namespace pidleak::reports {
namespace {

using layout::Row;

/// The point without its role, which has a column of its own.
std::string place_of(const std::string &point) { return printable(point.substr(point.find(':') + 1)); }

std::string who_remains(const Report &report) {
  std::vector<std::string> parts;
  if (report.live > 0)
    parts.push_back(fmt::format("{} live", report.live));
  if (report.zombies > 0)
    parts.push_back(fmt::format("{} zombie{}", report.zombies, report.zombies == 1 ? "" : "s"));
  if (parts.empty() && !report.remaining.empty())
    parts.push_back(count_of_processes(report.remaining.size()));
  return parts.empty() ? "nothing" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string first_cause(const Report &report) {
  for (const auto &process : report.remaining)
    if (!process.diagnosis.empty())
      return spell(process.diagnosis.front().cause);
  if (report.owner && !report.owner->diagnosis.empty())
    return "owner: " + spell(report.owner->diagnosis.front().cause);
  return "";
}

std::string task_facts(const Report &report) {
  std::vector<std::string> facts;
  for (const char *outcome : {"unresolved", "twice"})
    if (auto found = report.task_outcomes.find(outcome); found != report.task_outcomes.end() && found->second > 0)
      facts.push_back(fmt::format("{} task{} {}", found->second, found->second == 1 ? "" : "s",
                                  outcome == std::string("twice") ? "done twice" : "never resolved"));
  return fmt::format("{}", fmt::join(facts, ", "));
}

/// What shows the same without this program, as far as strace can be told it; empty: it can't.
std::string strace_line(const Report &replay) {
  // strace counts the calls of a name from a process's start, and does a fault before a call alone. A command's points
  // are counted so as well. Of a pool the workers' first step is theirs alone.
  const auto &[point, fault] = std::tie(replay.point_fault->point, replay.point_fault->fault);
  bool is_of_command = point.starts_with("command:");
  if (!point.ends_with(":entry") || !(is_of_command || point.find(":create-pool:") != std::string::npos))
    return "";
  auto last = point.rfind(':'), before = point.rfind(':', last - 1), mark = point.find('#', before);
  auto call = point.substr(before + 1, mark - before - 1), number = point.substr(mark + 1, last - mark - 1);
  auto what = fault == "kill"               ? "signal=KILL"
              : fault == "term"             ? "signal=TERM"
              : fault.starts_with("errno:") ? "error=" + fault.substr(6)
                                            : "";
  if (what.empty())
    return "";
  auto inject = fmt::format("-e inject={}:{}:when={}", call, what, number);
  return is_of_command ? fmt::format("strace -o /dev/null {} {}", inject, printable(replay.pool))
                       : fmt::format("strace -p PID {}", inject);
}

std::string details_of(const Sweep &sweep, const SweepClass &one, std::size_t number, const ReplayLine &line) {
  auto text = layout::wrapped(fmt::format("{:>3}  ", number), printable(what_happened(one)), 5);
  text += layout::wrapped("     ", printable(one.first.reason), 7);
  if (auto facts = task_facts(one.first); !facts.empty())
    text += fmt::format("     {}\n", facts);
  text += remaining_lines(one.first, "     ");
  text += fmt::format("     {}\n", line(sweep, one));
  if (auto strace = strace_line(one.first); !strace.empty())
    text += fmt::format("     {}\n", strace);
  return text;
}

} // namespace

std::string title_of(const Sweep &sweep) {
  const auto &recording = sweep.recording();
  if (recording.workers == 0) // a command
    return printable(recording.pool);
  return fmt::format("{}, {} workers{}", layout::title_of(recording), recording.workers,
                     recording.pool_version.empty() ? "" : " (" + printable(recording.pool_version) + ")");
}

std::string coverage_line(const Sweep &sweep) {
  auto coverage = sweep.coverage();
  auto text =
      fmt::format("coverage {:.1f} %: {} points recorded; of {} faults at points {} reached, {} not",
                  coverage.share() * 100, coverage.recorded, coverage.planned, coverage.reached, coverage.unreached);
  if (auto rest = coverage.planned - coverage.tried; rest > 0)
    text += fmt::format(", {} not tried", rest);
  return text;
}

std::string how_often(const Sweep &sweep, const SweepClass &one) {
  int failed = 0, reached = 0;
  for (auto [point, count] : one.points) {
    failed += count;
    reached += sweep.points()[point].reached;
  }
  return fmt::format("{} of {}", failed, reached);
}

std::string what_happened(const SweepClass &one) {
  const auto &fault = *one.first.point_fault;
  return fmt::format("{} of the {} in {}", fault.fault, one.role, fault.call);
}

std::vector<Row> table_of(const Sweep &sweep) {
  std::vector<Row> rows = {
      {"#", "FAULT", "ROLE", "EARLIEST POINT", "POINTS", "HOW OFTEN", "VERDICT", "REMAINS", "CAUSE"}};
  for (const auto *one : sweep.classes()) {
    const auto &earliest = sweep.points()[one->points.begin()->first];
    rows.push_back({fmt::to_string(rows.size()), one->fault, one->role, place_of(earliest.point),
                    fmt::to_string(one->points.size()), how_often(sweep, *one), spell(one->first.verdict),
                    who_remains(one->first), first_cause(one->first)});
  }
  return rows;
}

std::string render_sweeps(const std::vector<Sweep> &sweeps, const ReplayLine &line) {
  std::string text;
  for (const auto &sweep : sweeps) {
    text += title_of(sweep) + "\n";
    auto classes = sweep.classes();
    if (!classes.empty())
      for (const auto &row : layout::align(table_of(sweep), {0, 4, 5}))
        text += "  " + layout::join(row) + "\n";
    for (std::size_t number = 1; number <= classes.size(); ++number)
      text += details_of(sweep, *classes[number - 1], number, line);
    for (const auto &reason : sweep.reasons_not_judged())
      text += layout::wrapped("  not judged: ", printable(reason), 4);
    text += fmt::format("  {}; {}\n\n", coverage_line(sweep),
                        !was_recorded_clean(sweep.recording()) ? "nothing was tried"
                        : classes.empty()
                            ? "no point leaves anything"
                            : fmt::format("{} class{} of points do", classes.size(), classes.size() == 1 ? "" : "es"));
  }
  return text;
}

std::string render_sweeps_as_markdown(const std::vector<Sweep> &sweeps, const ReplayLine &line) {
  std::string text;
  for (const auto &sweep : sweeps) {
    text += fmt::format("### {}\n\n{}\n\n", markdown_text(title_of(sweep)), markdown_text(coverage_line(sweep)));
    auto classes = sweep.classes();
    if (classes.empty())
      continue;
    text += markdown_table(table_of(sweep));
    text += "\n";
    for (const auto *one : classes)
      text += fmt::format("- {}: {}\n  `{}`\n", markdown_text(what_happened(*one)), markdown_text(one->first.reason),
                          line(sweep, *one));
    text += "\n";
  }
  return text;
}

} // namespace pidleak::reports

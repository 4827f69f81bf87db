#include "harness/replay/verdict.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pidleak::replay {

using reports::Report;
using reports::Verdict;

namespace {

std::string describe_counts(const Report &report, bool with_helpers = false) {
  std::vector<std::string> counts;
  if (report.live)
    counts.push_back(fmt::format("{} live worker{}", report.live, report.live == 1 ? "" : "s"));
  if (report.zombies)
    counts.push_back(fmt::format("{} zombie{}", report.zombies, report.zombies == 1 ? "" : "s"));
  if (report.helpers && with_helpers)
    counts.push_back(fmt::format("{} helper{}", report.helpers, report.helpers == 1 ? "" : "s"));
  return fmt::to_string(fmt::join(counts, " and "));
}

} // namespace

Judged judge(const Scenario &scenario, const Report &report, const ShutdownFacts &shutdown) {
  for (auto required : scenario.must_show)
    for (const auto &evidence : report.evidence)
      if (evidence.condition == spell(required) && !evidence.shown)
        return {Verdict::invalid, "the fault was not shown: " + evidence.text};
  if (report.cgroup_agrees == false && report.census_complete)
    return {Verdict::broken, "the census missed a process that the cgroup lists"};
  auto counts = describe_counts(report);
  const char *remain = report.live + report.zombies == 1 ? " remains" : " remain";
  if (shutdown.owner_is_gone && !report.remaining.empty())
    return {Verdict::leaked, describe_counts(report, true) + " outlived the pool's owner"};
  if (!shutdown.stuck_in.empty())
    return {Verdict::hung, fmt::format("the subject was to {}, and never did; {}", shutdown.stuck_in,
                                       counts.empty() ? "no worker remains" : counts + remain)};
  if (shutdown.called && !shutdown.returned && !shutdown.owner_is_gone)
    return {Verdict::hung, "shutdown never returned; " + (counts.empty() ? "no worker remains" : counts + remain)};
  if (!counts.empty()) {
    auto reason = counts + remain + " after shutdown returned";
    if (!shutdown.management_thread_exception.empty())
      reason += fmt::format("; {} had ended the management thread", shutdown.management_thread_exception);
    return {Verdict::leaked, reason};
  }
  return {Verdict::clean, "every worker has exited and was waited for"};
}

Judged judge_after_subject(const Report &report) {
  auto left = report.remaining.size();
  if (left > 0)
    return {Verdict::leaked, reports::count_of_processes(left) + " outlived the subject"};
  if (report.nothing_left_below == false)
    return {Verdict::broken, "the census is empty, but waitid still reports a child"};
  return {Verdict::clean, "every worker has exited and was waited for"};
}

} // namespace pidleak::replay

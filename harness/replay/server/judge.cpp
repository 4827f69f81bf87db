#include "harness/replay/server/judge.hpp"

#include "harness/os/signals.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::replay {

using reports::Report;
using reports::Verdict;

namespace {

std::string processes_in(const Report &report) {
  std::vector<std::string> counts;
  if (report.live > 0)
    counts.push_back(fmt::format("{} live worker{}", report.live, report.live == 1 ? "" : "s"));
  if (report.zombies > 0)
    counts.push_back(fmt::format("{} zombie{}", report.zombies, report.zombies == 1 ? "" : "s"));
  return fmt::format("{}", fmt::join(counts, " and "));
}

Judged judge_restart(const Report &report, const ServerFacts &facts, const std::string &who) {
  bool is_up = *facts.is_up_again;
  auto up = is_up ? std::string("it came up again") : std::string("it did not come up again");
  if (who.empty())
    return is_up
               ? Judged{Verdict::clean, up + ", and none from before is there"}
               : Judged{Verdict::leaked, fmt::format("{}, though none from before is there: {}", up, facts.why_not_up)};
  bool hold_port = std::any_of(report.remaining.begin(), report.remaining.end(), [](const auto &process) {
    return process.attributes && !process.attributes->listens.empty();
  });
  return {Verdict::leaked, fmt::format("{}: {} from before {} there{}", up, who, report.live == 1 ? "is" : "are",
                                       hold_port ? ", with the listening socket" : "")};
}

} // namespace

Judged judge_server(const Report &report, const ServerFacts &facts) {
  for (const auto &evidence : report.evidence)
    if (evidence.condition == "death" && !evidence.shown)
      return {Verdict::invalid, "the fault was not shown: " + evidence.text};
  if (report.cgroup_agrees == false && report.census_complete)
    return {Verdict::broken, "the census missed a process that the cgroup lists"};
  auto who = processes_in(report);
  if (facts.is_up_again)
    return judge_restart(report, facts, who);
  auto seconds = facts.ended_after_ms / 1000;
  if (report.owner && facts.was_asked)
    return {Verdict::hung,
            fmt::format("it had not stopped {:.1f} s after {}: the master{} remain{}", seconds,
                        os::signal_name(facts.stop), who.empty() ? "" : " and " + who, who.empty() ? "s" : "")};
  if (!report.remaining.empty())
    return {Verdict::leaked, fmt::format("{} outlived the master",
                                         who.empty() ? reports::count_of_processes(report.remaining.size()) : who)};
  if (report.owner)
    return {Verdict::broken, "the master was not ended"};
  return {Verdict::clean, fmt::format("nothing was left {:.2f} s after {}", seconds, facts.since)};
}

} // namespace pidleak::replay

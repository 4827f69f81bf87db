#include "reports/census_record.hpp"

#include "harness/census/roots.hpp"

#include <fmt/format.h>

namespace pidleak::reports {

void record_settled(Report &report, const census::Settled &settled, Clock::time_point since) {
  report.settle_ms = milliseconds_between(since, Clock::now());
  report.settled_by = settled.by;
  report.not_quiescent_because = settled.by == SettledBy::deadline ? settled.why_not_quiescent : "";
  report.census_complete = settled.walk.complete;
}

void record_remaining(Report &report, std::vector<census::RemainingProcess> remaining,
                      std::optional<census::RemainingProcess> owner, const census::Knowledge &knowledge) {
  report.remaining = std::move(remaining);
  report.owner = std::move(owner);
  census::diagnose(report.remaining, report.owner ? &*report.owner : nullptr, knowledge);
  census::order_by_roots(report.remaining);
  count_remaining(report);
}

void record_genealogy(Report &report, const census::Genealogy &genealogy) {
  const auto &programs = genealogy.handed_over();
  report.genealogy = {
      .state = genealogy.state(), .lacks = genealogy.lacks(), .handed_over = {programs.begin(), programs.end()}};
  auto explain = [&](census::RemainingProcess &process) {
    if (process.created_by.empty()) // else they were recorded as they were then
      process.created_by = genealogy.creators_of(process.pid);
    bool is_known = process.created_by.empty() ? genealogy.is_of_command(process.pid)
                                               : genealogy.is_of_command(process.created_by.back().pid);
    if (!is_known && report.genealogy->state == census::GenealogyState::complete) {
      report.genealogy->state = census::GenealogyState::partial;
      report.genealogy->lacks = fmt::format(
          "the kernel did not tell who started pid {} (it tells nothing below a setuid or unreadable program)",
          process.pid);
    }
  };
  for (auto *processes : {&report.remaining, &report.at_timeout})
    for (auto &process : *processes)
      explain(process);
  if (report.growth)
    for (auto &group : report.growth->groups)
      explain(group.oldest);
}

} // namespace pidleak::reports

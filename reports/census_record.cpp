#include "reports/census_record.hpp"

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
  count_remaining(report);
}

} // namespace pidleak::reports

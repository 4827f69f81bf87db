#include "reports/outcome.hpp"

namespace pidleak::reports {

bool was_judged(const Report &report) {
  return report.verdict == Verdict::clean || report.verdict == Verdict::leaked || report.verdict == Verdict::hung;
}

Outcome outcome_of(const Report &report, const Deviation &deviation) {
  if (report.verdict == Verdict::skipped)
    return Outcome::skipped;
  if (report.verdict == Verdict::broken)
    return Outcome::error;
  bool fine = deviation && was_judged(report) ? deviation(report).empty() : report.verdict == Verdict::clean;
  return fine ? Outcome::passed : Outcome::failed;
}

std::string reason_of(const Report &report, const Deviation &deviation) {
  auto expected = deviation && was_judged(report) ? deviation(report) : "";
  return expected.empty() ? report.reason : "expected: " + expected + "; but " + report.reason;
}

} // namespace pidleak::reports

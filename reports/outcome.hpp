// What a test reporter makes of a report: passed or not, by its verdict alone or by what its scenario expects.
#pragma once

#include "reports/report.hpp"

#include <functional>

namespace pidleak::reports {

/// Empty if the report is as its scenario expects, else what was expected. Not set: nothing is.
using Deviation = std::function<std::string(const Report &)>;

enum class Outcome {
  passed,
  failed, // a leak, a hang, a fault that did not happen; or another verdict than the expected one
  error,  // the harness or the subject failed
  skipped
};

/// True of clean, leaked and hung: the verdicts that say something about the pool.
bool was_judged(const Report &report);

/// An expected leak has passed, and where a leak is expected, a clean report has not.
Outcome outcome_of(const Report &report, const Deviation &deviation);

/// The reason, after what was expected instead, where something else was.
std::string reason_of(const Report &report, const Deviation &deviation);

} // namespace pidleak::reports

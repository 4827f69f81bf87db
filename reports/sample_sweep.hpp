// For tests: a sweep of three points, of which one leaves a worker, and one was not reached.
#pragma once

#include "reports/sample_verdicts.hpp"
#include "reports/sweep.hpp"

namespace pidleak::testing {

inline Report with_fault_at(Report report, const std::string &point, bool reached = true) {
  report.point_fault =
      reports::PointFault{.point = point, .fault = "kill", .birth = {1}, .reached = reached, .call = "read of a pipe"};
  return report;
}

inline reports::Sweep swept() {
  auto recording = clean("cpython36");
  recording.recording = {{.actor = "worker",
                          .birth = {1},
                          .points = {{.point = "worker:do-tasks:read#1:entry", .about = "a pipe", .holding = ""},
                                     {.point = "worker:do-tasks:read#2:entry", .about = "a pipe", .holding = ""},
                                     {.point = "worker:do-tasks:read#3:entry", .about = "a pipe", .holding = ""}}}};
  std::vector<reports::SweptPoint> planned;
  for (const auto &point : recording.recording[0].points)
    planned.push_back({.point = point.point, .fault = "kill", .call = "", .reason = ""});
  reports::Sweep sweep(recording, planned);
  sweep.add(with_fault_at(clean("cpython36"), "worker:do-tasks:read#1:entry"));
  sweep.add(with_fault_at(leaked(), "worker:do-tasks:read#2:entry"));
  sweep.add(with_fault_at(leaked(), "worker:do-tasks:read#2:entry"));
  auto missed = clean("cpython36");
  missed.verdict = Verdict::invalid;
  sweep.add(with_fault_at(missed, "worker:do-tasks:read#3:entry", false));
  return sweep;
}

} // namespace pidleak::testing

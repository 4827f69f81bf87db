// The verdict of a replay: what was shown and what remains in, a verdict and its reason out.
#pragma once

#include "harness/replay/scenario.hpp"
#include "reports/report.hpp"

namespace pidleak::replay {

/// A verdict, and one sentence that says why. Thrown where it ends a replay before its steps are done.
struct Judged {
  reports::Verdict verdict;
  std::string reason;
};

/// What the pool made of its shutdown, if a process was left to call it.
struct ShutdownFacts {
  bool called = false, returned = false;
  bool owner_is_gone = false;              // or it ended by itself, after a fault
  std::string stuck_in;                    // what else it never came back from: `create the pool`
  std::string management_thread_exception; // what ended the thread that would have joined the workers
};

/// Judges a report whose evidence and remaining processes are complete, while the subject still lives.
Judged judge(const Scenario &scenario, const reports::Report &report, const ShutdownFacts &shutdown);

/// The same once the subject has gone: then no process may be left, helpers included.
Judged judge_after_subject(const reports::Report &report);

} // namespace pidleak::replay

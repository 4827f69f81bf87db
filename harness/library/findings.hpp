// From what a guard has seen to what it says: the leak report, and the public form of it.
#pragma once

#include "harness/library/helpers.hpp"
#include "harness/library/suspects.hpp"
#include "pidleak/guard.hpp"
#include "reports/suppressions.hpp"

namespace pidleak::library {

struct Checked {
  Look look;
  std::vector<census::Member> counting; // of the look, when it was taken
  std::time_t started = 0;              // the guard
  census::Settled how;
  Clock::time_point since; // the wait
};

/// What the caller has chosen.
struct Settings {
  milliseconds grace{2000};
  bool adopt_orphans = true;
  bool strict = false;
  bool reap = true; // what has been ended, if it is a child that was started here
  std::vector<Helper> helpers = {};
  std::vector<reports::SuppressionRule> rules = {};
};

/// Without those that are left to other guards, and those that a rule lets remain.
std::vector<census::Member> those_that_count(const Look &look, const Settings &settings,
                                             const census::Boundary &boundary);

Findings findings_of(const Checked &checked, const std::string &name, const Settings &settings,
                     const census::Boundary &boundary);

} // namespace pidleak::library

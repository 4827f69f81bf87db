// From what a guard has seen to what it says: the leak report, and the public form of it.
#pragma once

#include "harness/library/suspects.hpp"
#include "pidleak/guard.hpp"
#include "reports/suppressions.hpp"

namespace pidleak::library {

struct Checked {
  Look look;
  std::time_t started = 0; // the guard
  census::Settled how;
  Clock::time_point since; // the wait
};

/// None if there is no file. Throws std::invalid_argument, or SyscallError if it can't be read.
std::vector<reports::SuppressionRule> read_rules(const std::string &file);

/// Without those that are left to other guards.
std::vector<census::Member> those_that_count(const Look &look);
/// Without those that another guard may still need, and those that a rule lets remain.
std::vector<census::Member> those_to_end(const Look &look, const std::vector<reports::SuppressionRule> &rules,
                                         const census::Boundary &boundary);

Findings findings_of(const Checked &checked, const GuardOptions &options,
                     const std::vector<reports::SuppressionRule> &rules, const census::Boundary &boundary);

} // namespace pidleak::library

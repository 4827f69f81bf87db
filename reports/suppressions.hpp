// Rules of the user's that let processes remain: known ones, with a reason, and until a day if wanted.
//
//   {"suppressions": [{"comm": "agent*", "kind": "orphan", "reason": "the node's agent", "expires": "2027-01-31"}]}
#pragma once

#include "reports/report.hpp"

#include <chrono>

namespace pidleak::reports {

/// Applies to a process that is everything it asks for. At least one of the first four is there.
struct SuppressionRule {
  std::optional<std::string> comm;         // fnmatch(3)
  std::optional<std::string> command_line; // fnmatch(3), on the arguments joined by spaces
  std::optional<census::Kind> kind;
  std::optional<census::Cause> cause; // one of its diagnosis
  std::string reason;
  std::optional<std::chrono::year_month_day> expires; // holds through this day, UTC

  /// `comm=agent*, kind=orphan`
  std::string text() const;
  bool matches(const census::RemainingProcess &process) const;
  bool expired_on(std::chrono::sys_days today) const;
};

/// Reads a file's text, JSON in which comments are allowed. Throws std::invalid_argument naming `file`, the rule by
/// number and the member.
std::vector<SuppressionRule> parse_suppressions(const std::string &text, const std::string &file);

/// Marks the processes that a rule lets remain (the first that matches and has not expired), takes them out of the
/// counts, and fills report.suppressions, a rule each. A leak that is made by suppressed processes alone becomes clean.
/// Every other verdict stays: a hang is one whatever remains.
void apply(const std::vector<SuppressionRule> &rules, Report &report, std::chrono::sys_days today);

/// Adds what the rules were good for in a report to what they were in others, to which the same rules were applied.
void add_uses(std::vector<Suppression> &uses, const Report &report);
/// A line for each rule that has expired, or that let no process remain.
std::vector<std::string> stale_rules(const std::vector<Suppression> &uses);

} // namespace pidleak::reports

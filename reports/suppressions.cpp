#include "reports/suppressions.hpp"

#include "harness/base/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

using census::RemainingProcess;

bool glob_matches(const std::string &pattern, const std::string &text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

/// Where the subject lives on, its helpers may as well. It does not where it was the victim, or where the last thing
/// that was asked of it was to exit.
bool helpers_may_stay(const Report &report) {
  auto victim = report.conditions.find("victim");
  return !report.nothing_left_below && (victim == report.conditions.end() || victim->second != "owner");
}

bool is_culprit(const RemainingProcess &process, const Report &report) {
  return process.kind != census::Kind::helper || !helpers_may_stay(report);
}

/// The counts were taken while the subject lived, the processes maybe later: never below 0.
void discount(const RemainingProcess &process, Report &report) {
  auto &count = count_of(process, report);
  count = std::max(0, count - 1);
}

void judge_again(Report &report) {
  std::size_t culprits = 0, suppressed = 0;
  for (const auto &process : report.remaining)
    if (is_culprit(process, report)) {
      ++culprits;
      suppressed += process.suppressed_by.has_value();
    }
  auto remaining = culprits;
  for (const auto &group : growing_groups(report)) {
    ++culprits;
    suppressed += group.oldest.suppressed_by.has_value();
  }
  if (report.verdict != Verdict::leaked || suppressed == 0)
    return;
  if (suppressed < culprits) {
    report.reason += fmt::format("; {} of {} suppressed", suppressed, culprits);
    return;
  }
  report.verdict = Verdict::clean;
  report.reason = remaining == 0   ? "what accumulated is suppressed"
                  : remaining == 1 ? "a process remains, suppressed"
                                   : fmt::format("{} processes remain, all suppressed", remaining);
}

std::string date(const std::chrono::year_month_day &day) {
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

} // namespace

std::string SuppressionRule::text() const {
  std::vector<std::string> parts;
  if (comm)
    parts.push_back(fmt::format("comm={}", *comm));
  if (command_line)
    parts.push_back(fmt::format("command_line={}", *command_line));
  if (kind)
    parts.push_back(fmt::format("kind={}", spell(*kind)));
  if (cause)
    parts.push_back(fmt::format("cause={}", spell(*cause)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool SuppressionRule::matches(const RemainingProcess &process) const {
  if (comm && !glob_matches(*comm, process.comm))
    return false;
  if (command_line && !glob_matches(*command_line, fmt::format("{}", fmt::join(process.command_line, " "))))
    return false;
  if (kind && *kind != process.kind)
    return false;
  return !cause || std::any_of(process.diagnosis.begin(), process.diagnosis.end(),
                               [&](const census::Finding &finding) { return finding.cause == *cause; });
}

bool SuppressionRule::expired_on(std::chrono::sys_days today) const {
  return expires && std::chrono::sys_days(*expires) < today;
}

void apply(const std::vector<SuppressionRule> &rules, Report &report, std::chrono::sys_days today) {
  report.suppressions.clear();
  for (const auto &rule : rules)
    report.suppressions.push_back({.rule = rule.text(),
                                   .reason = rule.reason,
                                   .expires = rule.expires ? date(*rule.expires) : "",
                                   .expired = rule.expired_on(today),
                                   .used = 0});
  auto suppress = [&](RemainingProcess &process) {
    auto rule = std::find_if(rules.begin(), rules.end(), [&](const SuppressionRule &candidate) {
      return !candidate.expired_on(today) && candidate.matches(process);
    });
    if (rule == rules.end())
      return false;
    process.suppressed_by = rule->reason;
    ++report.suppressions[static_cast<std::size_t>(rule - rules.begin())].used;
    return true;
  };
  for (auto &process : report.remaining)
    if (suppress(process))
      discount(process, report);
  if (report.growth)
    for (auto &group : report.growth->groups)
      suppress(group.oldest);
  judge_again(report);
}

void add_uses(std::vector<Suppression> &uses, const Report &report) {
  if (uses.empty()) {
    uses = report.suppressions;
    return;
  }
  for (std::size_t i = 0; i < uses.size(); ++i)
    uses[i].used += report.suppressions.at(i).used;
}

std::vector<std::string> stale_rules(const std::vector<Suppression> &uses) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const auto &rule = uses[i];
    if (rule.expired)
      lines.push_back(fmt::format("rule {} ({}) has expired on {}", i + 1, printable(rule.rule), rule.expires));
    else if (rule.used == 0)
      lines.push_back(fmt::format("rule {} ({}) was not used", i + 1, printable(rule.rule)));
  }
  return lines;
}

} // namespace pidleak::reports

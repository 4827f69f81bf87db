#include "harness/cli/guard_words.hpp"

#include "reports/remaining_text.hpp"

#include <algorithm>

namespace pidleak::cli {

using reports::printable;

bool show(const reports::Report &report, bool keep) {
  if (report.verdict == reports::Verdict::broken) {
    say("pidleak guard: {}\n", printable(report.reason));
    return true;
  }
  bool is_clean = report.verdict == reports::Verdict::clean && !report.growth && !reports::has_adopted(report);
  if (report.remaining.empty() && report.at_timeout.empty() && is_clean)
    return false;
  say("pidleak guard: {}: {}\n{}{}{}", printable(report.pool), printable(report.reason),
      reports::growth_lines(reports::growing_groups(report), "  "), reports::remaining_lines(report, "  "),
      reports::suppression_lines(report, "  "));
  if (keep && !report.remaining.empty())
    say("  not ended{}\n", report.tier == reports::Tier::attached ? "" : " (--keep)");
  else if (std::any_of(report.remaining.begin(), report.remaining.end(), [](const auto &p) { return p.suppressed_by; }))
    say("  suppressed processes were not ended\n");
  return true;
}

bool show_growth(const reports::Report &report, const std::vector<std::size_t> &news) {
  std::vector<census::GrowingGroup> told;
  for (auto i : news)
    if (const auto &group = reports::growing_groups(report)[i]; !group.oldest.suppressed_by)
      told.push_back(group);
  if (!told.empty())
    say("pidleak guard: {}, while it runs:\n{}", printable(report.pool), reports::growth_lines(told, "  "));
  return !told.empty();
}

} // namespace pidleak::cli

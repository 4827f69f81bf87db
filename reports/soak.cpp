#include "reports/soak.hpp"

#include "reports/comparison.hpp"

#include <algorithm>

namespace pidleak::reports {
namespace {

bool says_nothing(const Report &report) {
  return report.verdict == Verdict::invalid || report.verdict == Verdict::broken;
}

std::string joined(const std::set<std::string> &words) {
  std::string text;
  for (const auto &word : words)
    text += (text.empty() ? "" : " or ") + word;
  return text;
}

} // namespace

std::string Soak::add(const Report &report) {
  auto [place, is_new] = places_.emplace(kind_of_replay(report), cells_.size());
  if (is_new) {
    auto expected = recorded_(report);
    bool is_recorded = !expected.empty();
    cells_.push_back({.outcomes = {}, .expected = std::move(expected), .is_recorded = is_recorded});
  }
  auto &cell = cells_[place->second];
  auto words = outcome_words(report);
  bool is_learnt = !cell.is_recorded && cell.replays < learn_;
  bool is_skip = report.verdict == Verdict::skipped && cell.replays == 0; // what is missing was missing before
  if (!says_nothing(report) && (is_learnt || is_skip))
    cell.expected.insert(words);
  ++cell.replays;
  ++replays_;
  auto outcome = std::find_if(cell.outcomes.begin(), cell.outcomes.end(),
                              [&](const SoakOutcome &known) { return outcome_words(known.first) == words; });
  if (outcome == cell.outcomes.end())
    outcome = cell.outcomes.insert(outcome, {.first = report,
                                             .number = replays_,
                                             .count = 0,
                                             .deviates = says_nothing(report) || !cell.expected.contains(words)});
  ++outcome->count;
  if (!outcome->deviates)
    return "";
  return cell.expected.empty() ? "a verdict" : joined(cell.expected);
}

std::size_t Soak::deviating() const {
  std::size_t count = 0;
  for (const auto &cell : cells_)
    for (const auto &outcome : cell.outcomes)
      count += outcome.deviates ? outcome.count : 0;
  return count;
}

std::vector<Verdict> Soak::judged() const {
  std::vector<Verdict> verdicts;
  for (const auto &cell : cells_)
    for (const auto &outcome : cell.outcomes) {
      auto verdict = outcome.first.verdict;
      bool passes = verdict == Verdict::leaked || verdict == Verdict::hung;
      bool fails = verdict == Verdict::clean || verdict == Verdict::skipped;
      verdicts.push_back(outcome.deviates ? (fails ? Verdict::leaked : verdict) : passes ? Verdict::clean : verdict);
    }
  return verdicts;
}

} // namespace pidleak::reports

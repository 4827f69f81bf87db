#include "reports/tally.hpp"

#include "harness/base/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

/// Numbers are pids, inodes and times, which say nothing of what kind a text is.
std::string without_numbers(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c >= '0' && c <= '9'; }, '#');
  text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == '#' && b == '#'; }), text.end());
  return text;
}

void count_up(std::vector<std::pair<Verdict, std::size_t>> &counts, Verdict verdict, std::size_t by) {
  auto known = std::find_if(counts.begin(), counts.end(), [&](const auto &c) { return c.first == verdict; });
  if (known == counts.end())
    counts.emplace_back(verdict, by);
  else
    known->second += by;
}

} // namespace

std::string kind_of_replay(const Report &report) {
  auto key = fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n", report.scenario, report.pool, report.workers, report.machine,
                         report.kernel, report.distribution);
  for (const auto &[name, word] : report.conditions)
    key += fmt::format("{}={}\n", name, word);
  return key;
}

std::string kind_of_ending(const Report &report) {
  std::vector<std::string> remaining;
  for (const auto &process : report.remaining) {
    std::vector<std::string> why;
    for (const auto &finding : process.diagnosis)
      why.push_back(spell(finding.cause));
    std::sort(why.begin(), why.end());
    remaining.push_back(fmt::format("{} {} {} {}", spell(process.kind),
                                    without_numbers(process.role.empty() ? process.comm : process.role),
                                    process.suppressed_by.value_or(""), fmt::join(why, " ")));
  }
  for (const auto &group : growing_groups(report))
    remaining.push_back(fmt::format("grows {} {}", group.comm, group.oldest.suppressed_by.value_or("")));
  std::sort(remaining.begin(), remaining.end());
  return fmt::format("{} {} {} {}\n{}\n{}", spell(report.verdict), report.live, report.zombies, report.helpers,
                     without_numbers(report.reason), fmt::join(remaining, "\n"));
}

Tallies::Tallies(const std::vector<Report> &reports) {
  for (const auto &report : reports)
    add(report);
}

void Tallies::add(const Report &report) {
  auto [place, is_new] = places_.emplace(kind_of_replay(report), all_.size());
  if (is_new) {
    all_.emplace_back();
    places_of_endings_.emplace_back();
  }
  auto &tally = all_[place->second];
  auto &endings = places_of_endings_[place->second];
  auto [ending, is_new_ending] =
      endings.emplace(kind_of_ending(report), static_cast<std::uint32_t>(tally.endings.size()));
  if (is_new_ending)
    tally.endings.push_back({.first = report, .place = tally.replays.size() + 1, .count = 0});
  ++tally.endings[ending->second].count;
  tally.replays.push_back({.ending = ending->second, .total_ms = static_cast<float>(report.total_ms)});
}

std::vector<std::pair<Verdict, std::size_t>> verdicts_of(const Tally &tally) {
  std::vector<std::pair<Verdict, std::size_t>> counts;
  for (const auto &ending : tally.endings)
    count_up(counts, ending.first.verdict, ending.count);
  return counts;
}

std::vector<std::pair<Verdict, std::size_t>> verdicts_of(const Tallies &tallies) {
  std::vector<std::pair<Verdict, std::size_t>> counts;
  for (const auto &tally : tallies.all())
    for (auto [verdict, count] : verdicts_of(tally))
      count_up(counts, verdict, count);
  return counts;
}

const Ending &first_with(Verdict verdict, const Tally &tally) {
  const Ending *first = nullptr;
  for (const auto &ending : tally.endings)
    if (ending.first.verdict == verdict &&
        (!first || (first->first.remaining.empty() && !ending.first.remaining.empty())))
      first = &ending;
  return *first;
}

Verdict worst_of(const Tally &tally) {
  std::vector<Verdict> all;
  for (const auto &ending : tally.endings)
    all.push_back(ending.first.verdict);
  auto status = exit_status(all);
  return *std::find_if(all.begin(), all.end(), [&](Verdict verdict) { return exit_status(verdict) == status; });
}

std::optional<double> median_ms(const Tally &tally) {
  std::vector<float> times;
  for (const auto &replay : tally.replays)
    if (tally.endings[replay.ending].first.verdict != Verdict::skipped)
      times.push_back(replay.total_ms);
  if (times.empty())
    return {};
  auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

} // namespace pidleak::reports

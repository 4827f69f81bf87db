#include "harness/guard/watch.hpp"

#include "reports/remaining_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::guard {
namespace {

constexpr std::size_t most_told = 1000;     // groups; a service of weeks may have had any number
constexpr std::size_t most_explained = 256; // processes; a look at each takes about a millisecond

std::string name_of(const census::GrowingGroup &group) {
  return fmt::format("{} of pid {} ({})", group.comm, group.starter, group.starter_comm);
}

std::string reason_of(const census::Growth &growth) {
  std::vector<std::string> names;
  for (const auto &group : growth.groups)
    names.push_back(name_of(group));
  return fmt::format("{} accumulated while it ran", fmt::join(names, ", "));
}

} // namespace

Watch::Watch(pid_t root, milliseconds every, const Tell &tell, Explain explain)
    : every_(every), tell_(tell), explain_(std::move(explain)), history_(root) {}

Watch::Group Watch::key_of(const census::GrowingGroup &group) {
  return {{group.starter, group.starter_ticks}, census::without_numbers(group.comm)};
}

void Watch::look(const std::vector<census::Member> &members, reports::Report so_far) {
  history_.add(milliseconds_between(started_, Clock::now()), members);
  auto growth = history_.growth();
  std::vector<std::size_t> news;
  for (std::size_t i = 0; i < growth.groups.size(); ++i) {
    auto told = told_.find(key_of(growth.groups[i]));
    if (told == told_.end() || growth.groups[i].now >= 2 * told->second.now)
      news.push_back(i);
  }
  if (!news.empty()) {
    if (told_.size() > most_told)
      told_.clear();
    explain_oldest(growth, members);
    for (auto i : news)
      told_[key_of(growth.groups[i])] = growth.groups[i];
    conclude(so_far);
    tell_(so_far, news);
  }
  next_ = Deadline::after(every_);
}

int Watch::miss() {
  next_ = Deadline::after(every_);
  return ++missed_;
}

/// With all the others, as far as there are not too many: one may wait for what another holds.
void Watch::explain_oldest(census::Growth &growth, const std::vector<census::Member> &members) const {
  std::vector<census::Member> asked;
  for (const auto &group : growth.groups)
    for (const auto &member : members)
      if (member.pid == group.oldest.pid)
        asked.push_back(member);
  for (const auto &member : members)
    if (asked.size() < most_explained && std::find(asked.begin(), asked.end(), member) == asked.end())
      asked.push_back(member);
  for (auto &process : explain_(asked, asked.size() == members.size()))
    for (auto &group : growth.groups)
      if (process.pid == group.oldest.pid)
        group.oldest = process;
}

void Watch::conclude(reports::Report &report) const {
  auto growth = history_.growth();
  for (auto &group : growth.groups)
    if (auto told = told_.find(key_of(group)); told != told_.end())
      group.oldest = told->second.oldest;
  if (growth.groups.empty()) {
    report.reason += (report.reason.empty() ? "" : "; ") + reports::sentence_of(growth);
    std::vector<std::string> earlier; // it was told, and a verdict of clean would contradict that
    for (const auto &[key, group] : told_)
      earlier.push_back(fmt::format("{} (told at {})", name_of(group), group.now));
    if (!earlier.empty())
      report.reason += fmt::format("; accumulated earlier, and does no more: {}", fmt::join(earlier, ", "));
  } else {
    auto reason = reason_of(growth);
    report.reason = report.verdict == reports::Verdict::leaked ? reason + "; " + report.reason : reason;
    report.verdict = reports::Verdict::leaked;
  }
  if (missed_ > 0)
    report.reason += fmt::format("; samples that failed: {}", missed_);
  report.growth = std::move(growth);
}

} // namespace pidleak::guard

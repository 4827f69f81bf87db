#include "harness/guard/remaining.hpp"

#include "reports/census_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::guard {

using reports::Report;
using reports::Verdict;

namespace {

constexpr milliseconds second_look_bound{200};
constexpr int most_late_tries = 3; // to look once more, when the grace is over

class Search {
public:
  /// `since`: when this search began, or the first of those that failed.
  Search(const Below &below, Clock::time_point since, Deadline deadline, Report &report)
      : below_(below), since_(since), deadline_(deadline), report_(report), tree_(below.tree),
        chain_(below.tree.scope) {}

  /// Throws what a look throws.
  void run() {
    auto settled = settle();
    settled.why_not_quiescent = why_not_quiescent(settled);
    reports::record_settled(report_, settled, since_);
    bool all_gone = settled.by == census::SettledBy::all_gone;
    if (all_gone) {
      report_.census_complete = true; // by waitid(2)
      return;
    }
    auto remaining = examine(settled.walk);
    // A process that forks and ends faster than one can look is gone by then. Its child may be met, or none.
    auto bound = Deadline::after(second_look_bound);
    while (remaining.empty() && settled.walk.hidden.empty() && !bound.passed() && !below_.nothing_is_left()) {
      below_.reap();
      settled.walk = {.members = census::walk_once(below_.tree.scope, &settled.walk.hidden), .complete = false};
      remaining = examine(settled.walk);
    }
    reports::record_remaining(report_, std::move(remaining), {}, {.harness = below_.tree.scope.root});
    judge(settled.walk.hidden);
  }

private:
  census::Settled settle() {
    return census::settle({.see = [this] { return tree_.see([](pid_t) { return false; }); },
                           .rest = [this](const auto &walk) { return tree_.rest(walk); },
                           .wait =
                               [this](auto at_most, const auto &exits) {
                                 below_.wait(at_most, exits);
                                 chain_.note_reaped(below_.reap());
                                 return false;
                               },
                           .done = below_.nothing_is_left,
                           .is_over = [this] { return is_over(); }});
  }

  bool is_over() const { return deadline_.passed() || below_.asked_to_end() || chain_.shown(); }

  std::string why_not_quiescent(const census::Settled &settled) const {
    if (below_.asked_to_end())
      return "a signal asked guard to end";
    if (chain_.shown())
      return fmt::format("it keeps forking: {} processes have come and gone since", chain_.come_and_gone());
    return settled.why_not_quiescent;
  }

  /// Without what has ended and waits for the root alone.
  std::vector<census::RemainingProcess> examine(const census::Walk &walk) const {
    auto remaining = tree_.examine(walk, {});
    std::erase_if(remaining, [this](const auto &process) {
      return process.state == census::ProcessState::zombie && process.parent == below_.tree.scope.root;
    });
    return remaining;
  }

  void judge(const std::vector<pid_t> &hidden) {
    auto count = report_.remaining.size();
    if (count == 0 && hidden.empty() && below_.nothing_is_left()) {
      report_.census_complete = true;
      return;
    }
    report_.verdict = Verdict::leaked;
    report_.reason =
        (count == 0 ? "at least one process" : reports::count_of_processes(count)) + " outlived the command";
    if (!hidden.empty())
      report_.reason += fmt::format("; this user may not see in /proc what they are: pid {}", fmt::join(hidden, ", "));
    else if (count == 0)
      report_.reason += ", and could not be identified: it came and went, or /proc does not show it";
    else if (!report_.census_complete)
      report_.reason += ", and maybe more: they come and go faster than they can be counted";
  }

  const Below &below_;
  Clock::time_point since_;
  Deadline deadline_;
  Report &report_;
  census::Tree tree_;
  ForkChain chain_;
};

} // namespace

void find_remaining(const Below &below, milliseconds grace, Report &report) {
  auto since = Clock::now();
  auto deadline = Deadline::after(grace);
  const auto before = report;
  std::string failure;
  Backoff backoff;
  for (int late = 0; late < most_late_tries; late += deadline.passed()) {
    try {
      report = before;
      Search(below, since, deadline, report).run();
      return;
    } catch (const std::exception &e) {
      failure = e.what();
    }
    try {
      below.wait(backoff.next(), {});
      below.reap();
    } catch (const std::exception &e) { // the next try may go better
      failure = e.what();
    }
  }
  report = before;
  reports::record_settled(report, {.walk = {}, .by = census::SettledBy::deadline, .why_not_quiescent = failure}, since);
  report.verdict = Verdict::leaked;
  report.reason = "something may have outlived the command, and could not be looked at: " + failure;
}

} // namespace pidleak::guard

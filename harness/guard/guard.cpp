#include "harness/guard/guard.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/guard/fork_chain.hpp"
#include "harness/guard/watch.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/tree.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

namespace pidleak::guard {

using reports::Verdict;

namespace {

constexpr std::chrono::seconds end_bound{5};
constexpr milliseconds second_look_bound{200};

class Guard {
public:
  Guard(const Options &options, const Tell &tell, const TellGrowth &tell_growth)
      : options_(options), tell_(tell), tell_growth_(tell_growth) {
    inside_.outer_proc = options_.outer_proc;
  }

  Outcome run() {
    if (options_.ended)
      outcome_.command = *options_.ended;
    else if (int error = command_.start(options_.command); error == 0)
      wait();
    else
      return not_executed(error);
    find_remaining();
    return std::move(outcome_);
  }

private:
  Outcome not_executed(int error) {
    outcome_.command.status = error == ENOENT ? 127 : 126; // as a shell
    outcome_.report.reason =
        fmt::format("{} can't be executed: {}", options_.command[0], std::generic_category().message(error));
    return std::move(outcome_);
  }

  void wait() {
    if (!options_.every) {
      outcome_.command = command_.wait(options_.limit);
      return;
    }
    replay::Tree tree(inside_, command_.pid(), false);
    watch_.emplace(command_.pid(), *options_.every, tell_growth_,
                   [&](const auto &members) { return explain(tree, members); });
    outcome_.command = command_.wait(options_.limit, [this] {
      watch_->look(members(), report_so_far());
      return watch_->next();
    });
  }

  /// Of the command, itself included. Whoever forks or ends meanwhile may be missed: a window of looks forgives that.
  std::vector<census::Member> members() const {
    auto members = census::walk_once({.root = ::getpid()});
    std::erase_if(members, [this](const auto &member) { return is_from_before(member.pid); });
    return members;
  }

  reports::Report report_so_far() const {
    reports::Report report;
    report.verdict = Verdict::clean;
    report.tier = options_.tier;
    return report;
  }

  static std::vector<census::RemainingProcess> explain(const replay::Tree &tree,
                                                       const std::vector<census::Member> &members) {
    census::Walk walk{.members = members, .complete = false};
    auto processes = tree.examine(walk, {});
    if (auto command = tree.examine_subject(walk)) // it may hold what another waits for
      processes.push_back(std::move(*command));
    census::diagnose(processes, nullptr, {.harness = ::getpid()});
    return processes;
  }

  /// A child that this process had when it started, or a descendant of one.
  bool is_from_before(pid_t pid) const {
    if (from_before().empty())
      return false;
    auto lineage = os::read_lineage(pid, ::getpid());
    return std::any_of(lineage.begin(), lineage.end(), [this](pid_t one) { return from_before().contains(one); });
  }

  const std::set<pid_t> &from_before() const { return command_.from_before(); }

  void find_remaining() {
    auto &report = outcome_.report;
    report.verdict = Verdict::clean;
    report.reason = "nothing is left of the command";
    report.tier = options_.tier;
    if (from_before().empty() && os::reap_exited_children()) { // ECHILD: there is nobody
      report.census_complete = true;
      report.nothing_left_below = true;
      tell();
      return;
    }
    command_.relay().forget_requests();   // they were for the command
    replay::Tree tree(inside_, 0, false); // the command is not there any more; its session was ours
    ForkChain chain;
    auto since = Clock::now();
    auto wait = [&](std::chrono::microseconds at_most, std::vector<int> exits) {
      exits.push_back(command_.relay().fd());
      os::wait_for_any_exit(exits, at_most);
      command_.relay().wait(nullptr, Deadline::after(milliseconds(0)));
      chain.reap();
      return false;
    };
    auto may_stay = [this](pid_t pid) { return is_from_before(pid); };
    auto deadline = Deadline::after(options_.grace);
    // Whoever asks a guard to end that waits for stragglers has waited long enough.
    auto is_over = [&] { return deadline.passed() || command_.relay().asked_to_end() || chain.shown(); };
    auto settled = tree.settle(
        wait, [] { return true; }, may_stay, is_over);
    if (settled.by == reports::SettledBy::deadline) {
      if (command_.relay().asked_to_end())
        settled.why_not_quiescent = "a signal asked to end";
      else if (chain.shown())
        settled.why_not_quiescent =
            fmt::format("it forks without rest: {} have come and gone since", chain.come_and_gone());
    }
    report.settle_ms = milliseconds_between(since, Clock::now());
    take_census(tree, settled);
    tell();
    if (options_.keep || report.verdict != Verdict::leaked)
      return;
    auto spared = from_before();
    for (const auto &process : report.remaining)
      if (process.suppressed_by)
        spared.insert(process.pid);
    outcome_.ended_all = os::end_all_children(Deadline::after(end_bound), spared);
  }

  void tell() {
    auto &report = outcome_.report;
    if (outcome_.command.timed_out)
      report.reason = fmt::format("the command was ended after {} s; {}",
                                  std::chrono::duration<double>(*options_.limit.timeout).count(), report.reason);
    if (watch_)
      watch_->conclude(report);
    tell_(report);
  }

  std::vector<census::RemainingProcess> examine(const replay::Tree &tree, const census::Walk &walk) const {
    auto remaining = tree.examine(walk, {});
    std::erase_if(remaining, [this](const auto &process) {
      bool waits_for_us = process.state == census::ProcessState::zombie && process.parent == ::getpid();
      return waits_for_us || is_from_before(process.pid);
    });
    return remaining;
  }

  bool somebody_is_left() const {
    os::reap_exited_children();
    auto children = os::read_children(::getpid());
    return std::any_of(children.begin(), children.end(), [this](pid_t pid) { return !from_before().contains(pid); });
  }

  void take_census(const replay::Tree &tree, const replay::Settled &settled) {
    auto &report = outcome_.report;
    report.settled_by = settled.by;
    report.not_quiescent_because = settled.why_not_quiescent;
    report.census_complete = settled.walk.complete;
    report.remaining = examine(tree, settled.walk);
    // Whoever forks and ends faster than one can look has been gone by then. The next one may be met, or nobody.
    auto deadline = Deadline::after(second_look_bound);
    while (report.remaining.empty() && !deadline.passed() && somebody_is_left())
      report.remaining = examine(tree, {.members = census::walk_once({.root = ::getpid()}), .complete = false});
    census::diagnose(report.remaining, nullptr, {.harness = ::getpid()});
    reports::count_remaining(report);
    auto count = report.remaining.size();
    bool only_unnamed = count == 0 && somebody_is_left();
    if (count == 0 && !only_unnamed)
      return;
    report.verdict = Verdict::leaked;
    report.reason = (only_unnamed ? "somebody" : reports::count_of_processes(count)) + " outlived the command";
    if (!report.census_complete)
      report.reason += ", and maybe more: they come and go faster than they can be counted";
  }

  const Options &options_;
  const Tell &tell_;
  const TellGrowth &tell_growth_;
  replay::Inside inside_;
  Command command_;
  std::optional<Watch> watch_;
  Outcome outcome_;
};

} // namespace

Outcome run(const Options &options, const Tell &tell, const TellGrowth &tell_growth) {
  return Guard(options, tell, tell_growth).run();
}

} // namespace pidleak::guard

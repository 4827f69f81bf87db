#include "harness/guard/guard.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/guard/relay.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/tree.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>

namespace pidleak::guard {

using reports::Verdict;

namespace {

constexpr int timeout_status = 124; // as timeout(1)
constexpr std::chrono::seconds end_bound{5};
constexpr milliseconds second_look_bound{200};

class Guard {
public:
  Guard(const Options &options, const Tell &tell) : options_(options), tell_(tell) {}

  Outcome run() {
    os::become_subreaper();
    for (pid_t pid : os::read_children(::getpid())) // of whoever has executed us
      before_.insert(pid);
    auto command = start();
    if (!command)
      return std::move(outcome_);
    inside_.outer_proc = options_.outer_proc;
    replay::Tree tree(inside_, command->pid(), false);
    wait_for(*command);
    find_remaining(tree, *command);
    return std::move(outcome_);
  }

private:
  /// Nothing if it could not be executed: that is in the outcome then.
  std::optional<os::ProcessRef> start() {
    auto started = guard::start(options_.command, relay_.original());
    if (auto *command = std::get_if<os::ProcessRef>(&started))
      return std::move(*command);
    int error = std::get<int>(started);
    outcome_.status = error == ENOENT ? 127 : 126; // as a shell
    outcome_.report.reason =
        fmt::format("{} can't be executed: {}", options_.command[0], std::generic_category().message(error));
    return {};
  }

  /// Until the command has ended and was reaped. Reaps whatever else ends below it, so that no zombie is kept that its
  /// own parent would not have kept.
  void wait_for(const os::ProcessRef &command) {
    auto deadline = options_.timeout ? std::optional(Deadline::after(*options_.timeout)) : std::nullopt;
    while (!reap(command))
      if (relay_.wait(command, deadline) == Relay::Event::nothing && deadline && deadline->passed()) {
        command.send(std::exchange(outcome_.timed_out, true) ? SIGKILL : SIGTERM);
        deadline = Deadline::after(options_.kill_after);
      }
    if (outcome_.timed_out)
      outcome_.status = timeout_status;
  }

  /// True once the command has ended.
  bool reap(const os::ProcessRef &command) {
    bool ended = false;
    siginfo_t info{};
    while (!ended && ::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | __WALL) == 0 && info.si_pid != 0) {
      bool is_command = info.si_pid == command.pid();
      if (info.si_code == CLD_STOPPED) {
        if (is_command)
          stop_as_well(command);
      } else {
        before_.erase(info.si_pid); // the number is free for others now
        if (is_command)
          note_end(info);
        ended = ended || is_command;
      }
      info = {};
    }
    return ended;
  }

  void note_end(const siginfo_t &info) {
    outcome_.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    outcome_.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }

  /// Whoever waits for this process is to see that the command has stopped, whether the terminal has stopped it or
  /// somebody else. It has stopped first: by then it has put the terminal in order.
  static void stop_as_well(const os::ProcessRef &command) {
    auto stat = os::read_stat(command.pid());
    if (!stat || stat->state != 'T' || ::getpid() == 1) // the init of a PID namespace can't stop
      return;
    ::raise(SIGSTOP);
    // Continued alone, or with the command? That may even have been stopped again by now: its state does not tell.
    siginfo_t since{};
    constexpr int any = WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT;
    if (::waitid(P_PIDFD, static_cast<id_t>(command.pidfd()), &since, any) == 0 && since.si_pid == 0)
      command.send(SIGCONT);
  }

  /// A child that this process had when it started, or a descendant of one.
  bool is_from_before(pid_t pid) const {
    while (!before_.empty() && pid > 1 && pid != ::getpid()) {
      if (before_.contains(pid))
        return true;
      auto stat = os::read_stat(pid);
      pid = stat ? stat->parent : 0;
    }
    return false;
  }

  void find_remaining(const replay::Tree &tree, const os::ProcessRef &command) {
    auto &report = outcome_.report;
    report.verdict = Verdict::clean;
    report.reason = "nothing is left of the command";
    report.tier = options_.tier;
    if (before_.empty() && os::reap_exited_children()) { // ECHILD: there is nobody
      report.census_complete = true;
      report.nothing_left_below = true;
      tell_(report);
      return;
    }
    relay_.forget_requests(); // they were for the command
    auto since = Clock::now();
    auto wait = [&](std::chrono::microseconds at_most, std::vector<int> exits) {
      exits.push_back(relay_.fd());
      os::wait_for_any_exit(exits, at_most);
      relay_.wait(command, Deadline::after(milliseconds(0)));
      return false;
    };
    // Whoever asks a guard to end that waits for stragglers has waited long enough.
    auto may_stay = [this](pid_t pid) { return is_from_before(pid) || relay_.asked_to_end(); };
    auto settled = tree.settle(
        wait, [] { return true; }, may_stay, Deadline::after(options_.grace));
    if (relay_.asked_to_end()) {
      settled.by = reports::SettledBy::deadline;
      settled.why_not_quiescent = "a signal asked to end";
    }
    report.settle_ms = milliseconds_between(since, Clock::now());
    take_census(tree, settled);
    tell_(report);
    if (options_.keep || report.verdict != Verdict::leaked)
      return;
    auto spared = before_;
    for (const auto &process : report.remaining)
      if (process.suppressed_by)
        spared.insert(process.pid);
    outcome_.ended_all = os::end_all_children(Deadline::after(end_bound), spared);
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
    return std::any_of(children.begin(), children.end(), [this](pid_t pid) { return !before_.contains(pid); });
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
    for (const auto &process : report.remaining)
      ++(process.state == census::ProcessState::zombie ? report.zombies : report.live);
    auto count = report.remaining.size();
    bool only_unnamed = count == 0 && somebody_is_left();
    if (count == 0 && !only_unnamed)
      return;
    report.verdict = Verdict::leaked;
    report.reason = fmt::format("{} outlived the command", count == 1     ? "a process"
                                                           : only_unnamed ? "somebody"
                                                                          : fmt::format("{} processes", count));
    if (!report.census_complete)
      report.reason += ", and maybe more: they come and go faster than they can be counted";
  }

  const Options &options_;
  const Tell &tell_;
  Relay relay_;
  replay::Inside inside_;
  std::set<pid_t> before_; // our own children from before
  Outcome outcome_;
};

} // namespace

Outcome run(const Options &options, const Tell &tell) { return Guard(options, tell).run(); }

} // namespace pidleak::guard

#include "harness/guard/guard.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/guard/relay.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/tree.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <set>

namespace pidleak::guard {

using reports::Verdict;

namespace {

constexpr int timeout_status = 124; // as timeout(1)

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
    std::vector<char *> arguments;
    for (const auto &argument : options_.command)
      arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setsigmask(&attributes, &relay_.original_mask());
    pid_t pid = 0;
    int error = ::posix_spawnp(&pid, arguments[0], nullptr, &attributes, arguments.data(), environ); // CLONE_VFORK
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) {
      outcome_.status = error == ENOENT ? 127 : 126; // as a shell
      outcome_.report.reason =
          fmt::format("{} can't be executed: {}", options_.command[0], std::generic_category().message(error));
      return {};
    }
    return os::ProcessRef::open(pid).value(); // own and unreaped: it is there
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
    while (::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | __WALL) == 0 && info.si_pid != 0) {
      bool is_command = info.si_pid == command.pid();
      if (info.si_code == CLD_STOPPED) {
        if (is_command && options_.tier == reports::Tier::subreaper) // no init of a namespace can stop itself
          stop_as_well(command);
      } else if (is_command) {
        ended = true;
        outcome_.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
      }
      info = {};
    }
    return ended;
  }

  /// Somebody has stopped the command alone: whoever waits for this process is to see it. What stops the whole job has
  /// stopped us as well, and the command goes on by now.
  static void stop_as_well(const os::ProcessRef &command) {
    auto stat = os::read_stat(command.pid());
    if (!stat || stat->state != 'T')
      return;
    ::raise(SIGSTOP);
    command.send(SIGCONT);
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
    auto since = Clock::now();
    auto wait = [&](std::chrono::microseconds at_most, std::vector<int> exits) {
      exits.push_back(relay_.fd());
      os::wait_for_any_exit(exits, at_most);
      relay_.wait(command, Deadline::after(milliseconds(0)));
      return false;
    };
    // Whoever asks a guard to end that waits for stragglers has waited long enough.
    auto may_stay = [this](pid_t pid) { return before_.contains(pid) || relay_.asked_to_end(); };
    auto settled = tree.settle(
        wait, [] { return true; }, may_stay, Deadline::after(options_.grace));
    if (relay_.asked_to_end()) {
      settled.by = reports::SettledBy::deadline;
      settled.why_not_quiescent = "a signal asked to end";
    }
    report.settle_ms = milliseconds_between(since, Clock::now());
    take_census(tree, settled);
    tell_(report);
    if (!options_.keep && !report.remaining.empty())
      end_remaining();
  }

  void take_census(const replay::Tree &tree, const replay::Settled &settled) {
    auto &report = outcome_.report;
    report.settled_by = settled.by;
    report.not_quiescent_because = settled.why_not_quiescent;
    report.census_complete = settled.walk.complete;
    report.remaining = tree.examine(settled.walk, {});
    std::erase_if(report.remaining, [this](const auto &process) { return before_.contains(process.pid); });
    census::diagnose(report.remaining, nullptr, {.harness = ::getpid()});
    for (const auto &process : report.remaining)
      ++(process.state == census::ProcessState::zombie ? report.zombies : report.live);
    auto count = report.remaining.size();
    if (count == 0)
      return;
    report.verdict = Verdict::leaked;
    report.reason =
        fmt::format("{} outlived the command", count == 1 ? "a process" : fmt::format("{} processes", count));
  }

  /// The direct children again and again: whoever loses its parent becomes one.
  void end_remaining() {
    auto deadline = Deadline::after(std::chrono::seconds(5));
    Backoff backoff;
    for (;;) {
      os::reap_exited_children();
      std::vector<os::ProcessRef> dying;
      std::vector<int> pidfds;
      for (pid_t pid : os::read_children(::getpid()))
        if (auto child = os::ProcessRef::open(pid); child && !before_.contains(pid) && !child->has_exited()) {
          child->send(SIGKILL);
          pidfds.push_back(child->pidfd());
          dying.push_back(std::move(*child));
        }
      if (pidfds.empty() || deadline.passed())
        return;
      os::wait_for_any_exit(pidfds, backoff.next());
    }
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

#include "harness/guard/guard.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/census/roots.hpp"
#include "harness/guard/adopted.hpp"
#include "harness/guard/remaining.hpp"
#include "harness/guard/watch.hpp"
#include "harness/guard/watched_tree.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/subreaper.hpp"
#include "reports/census_record.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace pidleak::guard {

using reports::Verdict;

namespace {

constexpr std::size_t most_lives = 20000; // of which a picture is readable

class Guard {
public:
  Guard(const Options &options, const Listener &listener)
      : options_(options), listener_(listener), boundary_(census::inherited()), command_(options.original) {}

  Outcome run() {
    os::become_subreaper();
    if (int error = command_.start(options_.command); error != 0)
      return not_executed(error);
    if (options_.report_lives)
      command_.keep_lives(most_lives);
    os::raise_descriptor_limit(); // the command has started with that of the caller
    bool has_ended = false;
    try {
      wait();
      has_ended = true;
      find_remaining();
      judge();
    } catch (const std::exception &e) {
      return lost(has_ended, e.what());
    }
    if (!options_.keep && outcome_.report.verdict == Verdict::leaked)
      end();
    return std::move(outcome_);
  }

private:
  Outcome not_executed(int error) {
    outcome_.command.status = error == ENOENT ? 127 : 126; // as a shell
    outcome_.report.reason =
        fmt::format("{} can't be executed: {}", options_.command[0], std::generic_category().message(error));
    return std::move(outcome_);
  }

  /// The kernel refuses what is needed to wait for the command, or to judge what it has left.
  Outcome lost(bool has_ended, const std::string &why) {
    outcome_.report.verdict = Verdict::broken;
    if (!has_ended) {
      outcome_.command.status = reports::exit_status(Verdict::broken);
      outcome_.report.reason = "guard could not wait for the command, and ended it: " + why;
    } else {
      outcome_.report.reason = "guard could not judge what the command has left: " + why;
    }
    if (!has_ended || !options_.keep)
      end();
    return std::move(outcome_);
  }

  void wait() {
    Hooks hooks{.warn = listener_.warn,
                .time_is_over = [this] { look_at_what_hangs(); },
                .reaped = [this](pid_t pid) { note_adopted(pid); }};
    std::optional<census::Tree> tree;
    if (options_.every) {
      tree.emplace(tree_options(command_.process().pid()));
      watched_.emplace(census::Scope{.root = ::getpid()});
      watch_.emplace(command_.process().pid(), *options_.every, listener_.grows, [&](const auto &members, bool all) {
        auto processes = explain(*tree, members, all);
        for (auto &process : processes)
          process.created_by = command_.genealogy().creators_of(process.pid);
        return processes;
      });
      hooks.look = [&] {
        look();
        return watch_->next();
      };
    }
    outcome_.command = command_.wait(options_.limit, hooks);
  }

  /// What the command waits for, and for whom: after the first signal it is another picture.
  void look_at_what_hangs() {
    try {
      census::Tree tree(tree_options(command_.process().pid()));
      auto members = census::walk_once({.root = ::getpid()});
      at_timeout_ = explain(tree, members, true);
      for (auto &process : at_timeout_) {
        process.created_by = command_.genealogy().creators_of(process.pid);
        process.attributes->outputs.clear(); // while the command runs, its output is theirs by right
      }
      census::order_by_roots(at_timeout_);
    } catch (const std::exception &e) {
      listener_.warn(fmt::format("what hangs could not be looked at: {}", e.what()));
    }
  }

  /// A look that fails is lost. Nothing that goes wrong here may end the service.
  void look() {
    try {
      watch_->look(watched_->look(command_.genealogy()), report_so_far());
    } catch (const std::exception &e) {
      if (watch_->miss() == 1)
        listener_.warn(fmt::format("a sample failed, and further failures are not reported: {}", e.what()));
    }
  }

  reports::Report report_so_far() const {
    reports::Report report;
    report.verdict = Verdict::clean;
    report.tier = options_.tier;
    return report;
  }

  census::TreeOptions tree_options(pid_t subject) const {
    return {.scope = {.root = ::getpid(), .proc_lists_all = options_.outer_proc >= 0},
            .subject = subject,
            .boundary = boundary_,
            .outer_proc = options_.outer_proc};
  }

  void note_adopted(pid_t pid) {
    if (options_.warn_adopted)
      adopted_.note(pid, command_.genealogy());
  }

  static std::vector<census::RemainingProcess> explain(const census::Tree &tree,
                                                       const std::vector<census::Member> &members, bool all) {
    census::Walk walk{.members = members, .complete = false};
    auto processes = tree.examine(walk, {});
    if (auto command = tree.examine_subject(walk)) // it may hold what another waits for
      processes.push_back(std::move(*command));
    census::diagnose(processes, nullptr, {.harness = ::getpid(), .all_are_known = all});
    return processes;
  }

  void find_remaining() {
    auto &report = outcome_.report;
    report = report_so_far();
    report.reason = "nothing is left of the command";
    if (nothing_is_left()) {
      report.census_complete = true;
      report.nothing_left_below = true;
      return;
    }
    std::size_t reaped = 0;
    auto note_reaped = [&](pid_t pid) {
      ++reaped;
      note_adopted(pid);
    };
    auto options = tree_options(0); // its session was this process's
    options.reaped = [this](pid_t pid) { note_adopted(pid); };
    guard::find_remaining({.tree = std::move(options),
                           .wait =
                               [&](auto at_most, auto exits) {
                                 exits.push_back(command_.relay().fd());
                                 os::wait_for_any_exit(exits, at_most);
                                 command_.relay().wait(nullptr, Deadline::after(milliseconds(0)));
                                 command_.genealogy();
                               },
                           .reap =
                               [&] {
                                 os::reap_exited_children(note_reaped);
                                 return std::exchange(reaped, 0);
                               },
                           .nothing_is_left = [&] { return os::reap_exited_children(note_reaped); },
                           // A user who asks a guard to end that waits for stragglers has waited long enough.
                           .asked_to_end = [this] { return command_.relay().asked_to_end(); }},
                          options_.grace, report);
  }

  bool nothing_is_left() {
    try {
      return os::reap_exited_children([this](pid_t pid) { note_adopted(pid); }); // ECHILD: there is none
    } catch (const std::exception &) {
      return false;
    }
  }

  void judge() {
    auto &report = outcome_.report;
    if (outcome_.command.timed_out)
      report.reason =
          fmt::format("the command {} after {} s; {}", outcome_.command.was_spared ? "could not be ended" : "was ended",
                      std::chrono::duration<double>(*options_.limit.timeout).count(), report.reason);
    report.at_timeout = std::move(at_timeout_);
    if (watch_)
      watch_->conclude(report);
    reports::record_genealogy(report, command_.genealogy());
    report.genealogy->adopted = adopted_.groups();
    if (options_.report_lives)
      report.lives = {.processes = command_.genealogy().lives(), .left_out = command_.genealogy().forgotten()};
    listener_.judge(report);
  }

  void end() {
    std::set<pid_t> spared;
    for (const auto &process : outcome_.report.remaining)
      if (process.suppressed_by)
        spared.insert(process.pid);
    auto &relay = command_.relay();
    relay.forget_signals();
    auto is_asked_again = [&] { // a user who asks guard to end now does not wait for the grace
      relay.wait(nullptr, Deadline::after(milliseconds(0)));
      return relay.asked_to_end();
    };
    outcome_.ending = os::end_all_children(Deadline::after(options_.end_grace + os::end_bound), spared,
                                           options_.end_grace, is_asked_again);
    for (auto &process : outcome_.report.remaining)
      process.ended_by = signal_that_ended(process.pid, *outcome_.ending);
  }

  static std::optional<census::EndedBy> signal_that_ended(pid_t pid, const os::Ending &ending) {
    auto is_in = [pid](const auto &pids) { return std::find(pids.begin(), pids.end(), pid) != pids.end(); };
    if (is_in(ending.by_sigterm))
      return census::EndedBy::sigterm;
    return is_in(ending.by_sigkill) ? std::optional(census::EndedBy::sigkill) : std::nullopt;
  }

  const Options &options_;
  const Listener &listener_;
  const census::Boundary boundary_;
  Command command_;
  Adopted adopted_;
  std::optional<Watch> watch_;
  std::optional<WatchedTree> watched_;
  std::vector<census::RemainingProcess> at_timeout_;
  Outcome outcome_;
};

void refuse_if_blind() {
  if (auto why = os::why_blind(); !why.empty())
    throw std::runtime_error("guard refuses, and nothing was run: " + why);
}

} // namespace

Outcome run(const Options &options, const Listener &listener) {
  refuse_if_blind();
  return Guard(options, listener).run();
}

reports::Report look_below_parent(const Options &options, const LeftToParent &left, const Listener &listener) {
  refuse_if_blind();
  os::raise_descriptor_limit();
  reports::Report report;
  report.verdict = Verdict::clean;
  report.reason = "nothing is left of the command";
  report.tier = options.tier;
  Relay relay;
  census::Scope below_parent{.root = ::getppid(), .except = {::getpid()}};
  find_remaining({.tree = {.scope = below_parent, .boundary = census::inherited()},
                  .wait =
                      [&](auto at_most, auto exits) {
                        exits.insert(exits.end(), {relay.fd(), left.readable_when_reaped});
                        os::wait_for_any_exit(exits, at_most);
                        relay.wait(nullptr, Deadline::after(milliseconds(0)));
                      },
                  .reap = left.reaped,
                  // The parent knows better, and asks waitid(2).
                  .nothing_is_left = [&] { return census::walk_once(below_parent).empty(); },
                  .asked_to_end = [&] { return relay.asked_to_end(); }},
                 options.grace, report);
  reports::record_genealogy(report, left.genealogy);
  listener.judge(report);
  return report;
}

} // namespace pidleak::guard

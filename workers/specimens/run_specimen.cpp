#include "workers/specimens/run_specimen.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/census/tree.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/sandbox.hpp"
#include "harness/replay/subject.hpp"
#include "reports/document.hpp"

#include <poll.h>

namespace pidleak::specimens {

using reports::Report;
using reports::Verdict;

namespace {

/// In the sandbox: runs the program, waits until it and what it started has left or never will, and judges.
class Observer {
public:
  Observer(const Invocation &invocation, const replay::Inside &inside) : invocation_(invocation), inside_(inside) {
    report_.tier = inside.tier;
    report_.tier_notes = inside.notes;
  }

  Report run() {
    try {
      observe(os::launch({.program = invocation_.program,
                          .arguments = invocation_.arguments,
                          .standard_error = -1,
                          .default_signals = true}));
    } catch (const std::exception &e) {
      report_.reason = e.what();
    }
    report_.total_ms = timeline_.now_ms();
    report_.timeline = timeline_.take();
    return std::move(report_);
  }

private:
  void observe(const os::ProcessRef &owner) {
    timeline_.note("subject-started", owner.pid(), invocation_.program);
    census::Tree tree(replay::tree_of(inside_, owner.pid()));
    auto wait = [this](std::chrono::microseconds at_most, const std::vector<int> &exits) {
      wait_for_exits(at_most, exits);
      return false; // a specimen says nothing
    };
    auto deadline = Deadline::after(invocation_.run_bound);
    auto is_over = [&] { return deadline.passed(); };
    auto settle = [&](const std::function<bool()> &done, bool may_stay) {
      return census::settle({.see = [&] { return tree.see([&](pid_t) { return may_stay; }); },
                             .rest = [&](const auto &walk) { return tree.rest(walk); },
                             .wait = wait,
                             .done = done,
                             .is_over = is_over});
    };
    auto settled = settle([&] { return owner.has_exited(); }, true);
    bool ended = owner.has_exited();
    auto since = Clock::now();
    if (ended) {
      timeline_.note("exited", owner.pid());
      deadline = Deadline::after(invocation_.settle_bound);
      settled = settle({}, false);
      report_.settle_ms = milliseconds_between(since, Clock::now());
    }
    take_census(tree, settled);
    judge(ended);
  }

  void wait_for_exits(std::chrono::microseconds at_most, const std::vector<int> &exits) const {
    std::vector<pollfd> fds = {{.fd = inside_.lifeline, .events = POLLIN, .revents = 0}};
    for (int pidfd : exits)
      fds.push_back({.fd = pidfd, .events = POLLIN, .revents = 0});
    timespec timeout{.tv_sec = at_most.count() / 1000000, .tv_nsec = at_most.count() % 1000000 * 1000};
    if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) < 0 && errno != EINTR)
      os::throw_errno("ppoll({} pidfds)", exits.size());
    if (fds[0].revents)
      throw replay::LifelineCut();
  }

  void take_census(const census::Tree &tree, const census::Settled &settled) {
    report_.settled_by = settled.by;
    report_.not_quiescent_because = settled.why_not_quiescent;
    report_.census_complete = settled.walk.complete;
    report_.cgroup_agrees = tree.agrees_with_cgroup(settled.walk);
    report_.remaining = tree.examine(settled.walk, {});
    report_.owner = tree.examine_subject(settled.walk);
    census::diagnose(report_.remaining, report_.owner ? &*report_.owner : nullptr, {.harness = ::getpid()});
    reports::count_remaining(report_);
    for (const auto &process : report_.remaining)
      timeline_.note("remains", process.pid, spell(process.kind));
  }

  void judge(bool ended) {
    auto count = report_.remaining.size();
    auto who = reports::count_of_processes(count);
    if (report_.cgroup_agrees == false && report_.census_complete) {
      report_.verdict = Verdict::broken;
      report_.reason = "the census missed a process that the cgroup lists";
    } else if (!ended) {
      report_.verdict = Verdict::hung;
      report_.reason =
          "the command never ended; " + (count == 0 ? std::string("it has no child") : who + " remain below it");
    } else {
      report_.verdict = count == 0 ? Verdict::clean : Verdict::leaked;
      report_.reason = count == 0 ? "nothing is left of the command" : who + " outlived the command";
    }
  }

  const Invocation &invocation_;
  const replay::Inside &inside_;
  replay::Timeline timeline_;
  Report report_;
};

} // namespace

Report run_specimen(const Invocation &invocation) {
  static const auto facilities = replay::find_facilities();
  replay::SandboxOptions options{.facilities = facilities,
                                 .tier = facilities.strongest,
                                 .bound = invocation.run_bound + invocation.settle_bound + std::chrono::seconds(10)};
  auto sandbox = replay::Sandbox::start(options, [&](const replay::Inside &inside) {
    return reports::to_document({Observer(invocation, inside).run()});
  });
  while (!sandbox.collect()) {
    pollfd readable{.fd = sandbox.result_fd(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, -1) < 0 && errno != EINTR)
      os::throw_errno("poll(result of a sandbox)");
  }
  auto result = sandbox.result();
  if (result)
    return reports::from_document(*result).at(0);
  Report report;
  report.reason = "the specimen's run did not come to its end: " + sandbox.failure();
  return report;
}

} // namespace pidleak::specimens

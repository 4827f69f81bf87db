#include "harness/replay/run.hpp"

#include "harness/os/end_requests.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/driver.hpp"
#include "harness/replay/watch.hpp"
#include "reports/document.hpp"

#include <poll.h>

#include <ctime>
#include <list>
#include <map>
#include <stdexcept>

namespace pidleak::replay {

using reports::Report;

namespace {

/// What a report says of its plan, whatever comes of it.
void describe(const Plan &plan, Report &report) {
  report.scenario = plan.scenario.name;
  report.pool = plan.pool.name;
  report.workers = plan.scenario.conditions.workers;
  for_each_condition(plan.scenario.conditions,
                     [&](const char *name, auto value) { report.conditions[name] = spell(value); });
}

/// What is done in one sandbox.
struct Job {
  SandboxOptions sandbox;
  std::function<Report(const Inside &)> body;
  std::function<void(Report &)> describe;
};

Job job_of(const Plan &plan, const RunOptions &options) {
  return {.sandbox = {.facilities = options.facilities,
                      .tier = options.tier,
                      .memory_cgroup = plan.scenario.conditions.death == Death::oom && plan.oom == OomMode::real,
                      .process_cap = plan.process_cap,
                      .bound = plan.step_bound * 10 + plan.settle_bound * 2},
          .body = [&plan](const Inside &inside) { return drive(plan, inside); },
          .describe = [&plan](Report &report) { describe(plan, report); }};
}

struct Running {
  std::size_t index;
  std::time_t started;
  Clock::time_point since;
  Sandbox sandbox;
};

Running start(std::size_t index, const Job &job) {
  return {.index = index,
          .started = std::time(nullptr),
          .since = Clock::now(),
          .sandbox = Sandbox::start(job.sandbox,
                                    [&job](const Inside &inside) { return reports::to_document({job.body(inside)}); })};
}

Report finish(const Running &running, const Job &job) {
  Report report;
  auto result = running.sandbox.result();
  if (result) {
    report = reports::from_document(*result).at(0);
  } else {
    report.tier = job.sandbox.tier;
    report.reason = "the replay did not come to its end: " +
                    (running.sandbox.failure().empty() ? "no result" : running.sandbox.failure());
  }
  reports::sign(report, running.started);
  job.describe(report);
  report.total_ms = milliseconds_between(running.since, Clock::now());
  return report;
}

/// Hands on what came, in the order of its numbers.
class InOrder {
public:
  explicit InOrder(const std::function<void(std::size_t, Report)> &hand_over) : hand_over_(hand_over) {}
  void put(std::size_t number, Report report) {
    waiting_.emplace(number, std::move(report));
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_; first = waiting_.begin())
      hand_over_first();
  }
  /// What waits for one that will not come any more.
  void put_rest() {
    while (!waiting_.empty())
      hand_over_first();
  }

private:
  void hand_over_first() {
    auto first = waiting_.extract(waiting_.begin());
    next_ = first.key() + 1;
    hand_over_(first.key(), std::move(first.mapped()));
  }

  const std::function<void(std::size_t, Report)> &hand_over_;
  std::map<std::size_t, Report> waiting_;
  std::size_t next_ = 0;
};

/// Waits until a sandbox has something to collect, or this process is asked to end.
void wait_for_any(const std::list<Running> &running, const os::EndRequests &requests) {
  std::vector<pollfd> readable = {{.fd = requests.fd(), .events = POLLIN, .revents = 0}};
  for (const auto &job : running)
    readable.push_back({.fd = job.sandbox.result_fd(), .events = POLLIN, .revents = 0});
  if (::poll(readable.data(), readable.size(), -1) < 0 && errno != EINTR)
    os::throw_errno("poll(results of {} sandboxes)", running.size());
}

/// Each job `repeat` times: all of them, then all of them again.
Ran run_jobs(const std::vector<Job> &jobs, std::size_t repeat, std::size_t at_once,
             const std::function<void(std::size_t, const Report &)> &on_done,
             const std::function<void(std::size_t, Report)> &hand_over) {
  Ran ran;
  std::optional<os::EndRequests> requests(std::in_place);
  InOrder in_order(hand_over);
  std::list<Running> running; // ended when it goes, so also by an exception
  std::size_t next = 0, total = jobs.size() * repeat;
  while ((next < total || !running.empty()) && !(ran.interrupted_by = requests->take())) {
    for (; next < total && running.size() < at_once; ++next)
      running.push_back(start(next, jobs[next % jobs.size()]));
    wait_for_any(running, *requests);
    for (auto job = running.begin(); job != running.end();) {
      if (!job->sandbox.collect()) {
        ++job;
        continue;
      }
      auto report = finish(*job, jobs[job->index % jobs.size()]);
      on_done(++ran.done, report);
      in_order.put(job->index, std::move(report));
      job = running.erase(job);
    }
  }
  requests.reset(); // from here on a request is obeyed at once
  running.clear();
  in_order.put_rest();
  return ran;
}

const Facilities &facilities_of_this_machine() {
  static const Facilities found = find_facilities();
  return found;
}

} // namespace

Ran run(const std::vector<Plan> &plans, const RunOptions &options,
        const std::function<void(std::size_t plan, Report)> &on_report) {
  if (auto why = os::why_blind(); options.tier == reports::Tier::subreaper && !why.empty())
    throw std::runtime_error("nothing was replayed: " + why); // at other tiers a sandbox has a /proc of its own
  for (const auto *place : {&options.facilities.pids, &options.facilities.memory})
    if (!place->parent.empty())
      os::sweep_stale_cgroups(place->parent);
  std::vector<Job> jobs;
  for (const auto &plan : plans)
    jobs.push_back(job_of(plan, options));
  return run_jobs(jobs, static_cast<std::size_t>(options.repeat), static_cast<std::size_t>(options.jobs),
                  options.on_done,
                  [&](std::size_t number, Report report) { on_report(number % plans.size(), std::move(report)); });
}

Report run(const Plan &plan) {
  const auto &facilities = facilities_of_this_machine();
  Report report;
  auto ran = run({plan}, {.facilities = facilities, .tier = facilities.strongest},
                 [&](std::size_t, Report result) { report = std::move(result); });
  if (ran.interrupted_by)
    report.reason = "the replay was interrupted";
  return report;
}

Report watch(const Command &command) {
  const auto &facilities = facilities_of_this_machine();
  auto bound = command.run_bound + command.settle_bound + std::chrono::seconds(10);
  Job job{.sandbox = {.facilities = facilities,
                      .tier = facilities.strongest,
                      .process_cap = command.process_cap,
                      .bound = bound},
          .body = [&command](const Inside &inside) { return watch(command, inside); },
          .describe = [&command](Report &report) { report.pool = command.program; }};
  Report report;
  run_jobs(
      {job}, 1, 1, [](std::size_t, const Report &) {}, [&](std::size_t, Report result) { report = std::move(result); });
  return report;
}

} // namespace pidleak::replay

#include "harness/replay/run.hpp"

#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/driver.hpp"
#include "harness/replay/watch.hpp"

#include <poll.h>

#include <ctime>
#include <list>
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

std::vector<Report> run_jobs(const std::vector<Job> &jobs, std::size_t at_once,
                             const std::function<void(std::size_t, const Report &)> &on_done) {
  std::vector<Report> reports(jobs.size());
  std::list<Running> running;
  std::size_t next = 0, done = 0;
  while (next < jobs.size() || !running.empty()) {
    while (next < jobs.size() && running.size() < at_once) {
      running.push_back(start(next, jobs[next]));
      ++next;
    }
    std::vector<pollfd> results;
    for (const auto &job : running)
      results.push_back({.fd = job.sandbox.result_fd(), .events = POLLIN, .revents = 0});
    if (::poll(results.data(), results.size(), -1) < 0 && errno != EINTR)
      os::throw_errno("poll(results of {} sandboxes)", results.size());
    for (auto job = running.begin(); job != running.end();) {
      if (!job->sandbox.collect()) {
        ++job;
        continue;
      }
      auto &report = reports[job->index] = finish(*job, jobs[job->index]);
      on_done(++done, report);
      job = running.erase(job);
    }
  }
  return reports;
}

const Facilities &facilities_of_this_machine() {
  static const Facilities found = find_facilities();
  return found;
}

} // namespace

std::vector<Report> run(const std::vector<Plan> &plans, const RunOptions &options) {
  if (auto why = os::why_blind(); options.tier == reports::Tier::subreaper && !why.empty())
    throw std::runtime_error("nothing was replayed: " + why); // at other tiers a sandbox has a /proc of its own
  for (const auto *place : {&options.facilities.pids, &options.facilities.memory})
    if (!place->parent.empty())
      os::sweep_stale_cgroups(place->parent);
  std::vector<Job> jobs;
  for (const auto &plan : plans)
    jobs.push_back(job_of(plan, options));
  return run_jobs(jobs, static_cast<std::size_t>(options.jobs), options.on_done);
}

Report run(const Plan &plan) {
  const auto &facilities = facilities_of_this_machine();
  return run({plan}, {.facilities = facilities, .tier = facilities.strongest}).front();
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
  return run_jobs({job}, 1, [](std::size_t, const Report &) {}).front();
}

} // namespace pidleak::replay

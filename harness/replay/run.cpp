#include "harness/replay/run.hpp"

#include "harness/os/syscall_error.hpp"
#include "harness/replay/driver.hpp"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/utsname.h>

#include <ctime>
#include <list>

namespace pidleak::replay {
namespace {

using reports::Report;

std::string utc_now() {
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string kernel() {
  utsname names{};
  ::uname(&names);
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

/// What a report says of its plan, whatever comes of it.
void describe(const Plan &plan, const std::string &started, Report &report) {
  report.tool_version = PIDLEAK_VERSION;
  report.kernel = kernel();
  report.user = ::geteuid();
  report.started = started;
  report.scenario = plan.scenario.name;
  report.pool = plan.pool.name;
  report.workers = plan.scenario.conditions.workers;
  for_each_condition(plan.scenario.conditions,
                     [&](const char *name, auto value) { report.conditions[name] = spell(value); });
}

struct Running {
  std::size_t index;
  std::string started;
  Clock::time_point since;
  Sandbox sandbox;
};

Running start(std::size_t index, const Plan &plan, const RunOptions &options) {
  SandboxOptions sandbox{.facilities = options.facilities,
                         .tier = options.tier,
                         .memory_cgroup = plan.scenario.conditions.death == Death::oom && plan.oom == OomMode::real,
                         .process_cap = plan.process_cap,
                         .bound = plan.step_bound * 10 + plan.settle_bound * 2};
  return {.index = index,
          .started = utc_now(),
          .since = Clock::now(),
          .sandbox =
              Sandbox::start(sandbox, [&plan](const Inside &inside) { return to_json(drive(plan, inside)).dump(); })};
}

Report finish(const Running &running, const Plan &plan, reports::Tier tier) {
  Report report;
  auto result = running.sandbox.result();
  if (result) {
    report = reports::from_json(nlohmann::ordered_json::parse(*result));
  } else {
    report.tier = tier;
    report.reason = "the replay did not come to its end: " +
                    (running.sandbox.failure().empty() ? "no result" : running.sandbox.failure());
  }
  describe(plan, running.started, report);
  report.total_ms = milliseconds_between(running.since, Clock::now());
  return report;
}

} // namespace

std::vector<Report> run(const std::vector<Plan> &plans, const RunOptions &options) {
  for (const auto *place : {&options.facilities.pids, &options.facilities.memory})
    if (!place->parent.empty())
      os::sweep_stale_cgroups(place->parent);
  std::vector<Report> reports(plans.size());
  std::list<Running> running;
  std::size_t next = 0, done = 0;
  while (next < plans.size() || !running.empty()) {
    while (next < plans.size() && running.size() < static_cast<std::size_t>(options.jobs)) {
      running.push_back(start(next, plans[next], options));
      ++next;
    }
    std::vector<pollfd> results;
    for (const auto &replay : running)
      results.push_back({.fd = replay.sandbox.result_fd(), .events = POLLIN, .revents = 0});
    if (::poll(results.data(), results.size(), -1) < 0 && errno != EINTR)
      os::throw_errno("poll(results of {} sandboxes)", results.size());
    for (auto replay = running.begin(); replay != running.end();) {
      if (!replay->sandbox.collect()) {
        ++replay;
        continue;
      }
      auto &report = reports[replay->index] = finish(*replay, plans[replay->index], options.tier);
      options.on_done(++done, report);
      replay = running.erase(replay);
    }
  }
  return reports;
}

Report run(const Plan &plan) {
  static const Facilities facilities = find_facilities();
  return run({plan}, {.facilities = facilities, .tier = facilities.strongest}).front();
}

} // namespace pidleak::replay

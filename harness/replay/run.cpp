#include "harness/replay/run.hpp"

#include "harness/os/end_requests.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/command.hpp"
#include "harness/replay/driver.hpp"
#include "harness/replay/server/drive.hpp"
#include "harness/replay/turn.hpp"
#include "reports/document.hpp"

#include <poll.h>

#include <ctime>
#include <list>
#include <map>
#include <stdexcept>
#include <utility>

namespace pidleak::replay {

using reports::Report;

namespace {

/// What a report says of its plan, whatever comes of it.
void describe(const Plan &plan, Report &report) {
  if (const auto &fault = plan.point_fault; fault && !report.point_fault) // it did not come so far
    report.point_fault = reports::PointFault{.point = to_text(fault->point),
                                             .fault = to_text(fault->fault),
                                             .birth = fault->birth,
                                             .reached = false,
                                             .call = ""};
  report.scenario = plan.scenario.name;
  report.pool = plan.pool.name;
  if (!plan.pool.server) // it has as many as it had
    report.workers = plan.scenario.conditions.workers;
  if (plan.command)
    return;
  for_each_condition(plan.scenario.conditions, [&](const char *name, auto value) {
    if (!plan.pool.server || is_met_by_servers(name))
      report.conditions[name] = spell(value);
  });
}

/// Longer than a replay takes.
milliseconds backstop_of(const Plan &plan) {
  auto longest_wait = plan.grace; // a stop, and a while later who is left; a reaction
  if (plan.pool.server)
    longest_wait = std::max(longest_wait, plan.pool.server->longest_timer.value_or(milliseconds(0)));
  return plan.step_bound * 10 + plan.settle_bound * 2 + longest_wait * 3;
}

SandboxOptions sandbox_for(const Plan &plan, const RunOptions &options) {
  return {.facilities = options.facilities,
          .tier = options.tier,
          .memory_cgroup = needs_real_oom(plan),
          .own_network = plan.pool.server && plan.pool.server->own_network,
          .process_cap = plan.process_cap,
          .waits_for_turn = true,
          .bound = backstop_of(plan)};
}

struct Running {
  std::size_t plan;
  std::time_t started;
  Clock::time_point since;
  Sandbox sandbox;
  std::size_t number = 0; // in the order of their turns
};

/// It waits for its turn.
Running start(std::size_t place, const std::vector<Plan> &plans, const RunOptions &options) {
  const auto &plan = plans[place];
  return {.plan = place,
          .started = std::time(nullptr),
          .since = Clock::now(),
          .sandbox = Sandbox::start(sandbox_for(plan, options), [&plan](Inside inside) {
            if (!plan.may_overlap())
              inside.since += wait_for_turn(inside);
            return reports::to_document({plan.command       ? drive_command(plan, inside)
                                         : plan.pool.server ? drive_server(plan, inside)
                                                            : drive(plan, inside)});
          })};
}

Report finish(const Running &running, const Plan &plan, reports::Tier tier) {
  Report report;
  auto result = running.sandbox.result();
  if (result) {
    report = reports::from_document(*result).at(0);
  } else {
    report.tier = tier;
    report.reason = "the replay did not come to its end: " +
                    (running.sandbox.failure().empty() ? "no result" : running.sandbox.failure());
    report.total_ms = milliseconds_between(running.since, Clock::now());
  }
  reports::sign(report, running.started);
  describe(plan, report);
  return report;
}

/// Hands on what came, in the order of its numbers.
class InOrder {
public:
  explicit InOrder(const std::function<void(std::size_t, Report)> &hand_over) : hand_over_(hand_over) {}
  void put(std::size_t number, std::size_t plan, Report report) {
    waiting_.emplace(number, std::pair(plan, std::move(report)));
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
    hand_over_(first.mapped().first, std::move(first.mapped().second));
  }

  const std::function<void(std::size_t, Report)> &hand_over_;
  std::map<std::size_t, std::pair<std::size_t, Report>> waiting_;
  std::size_t next_ = 0;
};

/// Waits until a sandbox has something to collect or is cleaned up, or this process is asked to end.
void wait_for_any(const std::list<Running> &running, const std::list<Sandbox> &leaving,
                  const os::EndRequests &requests) {
  std::vector<pollfd> readable = {{.fd = requests.fd(), .events = POLLIN, .revents = 0}};
  for (const auto &replay : running)
    readable.push_back({.fd = replay.sandbox.result_fd(), .events = POLLIN, .revents = 0});
  for (const auto &sandbox : leaving)
    readable.push_back({.fd = sandbox.end_fd(), .events = POLLIN, .revents = 0});
  if (::poll(readable.data(), readable.size(), -1) < 0 && errno != EINTR)
    os::throw_errno("poll(results of {} sandboxes)", running.size());
}

/// Each plan as often as it is to be repeated: all of them, then all of them again.
std::function<std::optional<std::size_t>()> in_turn(std::size_t plans, int repeat) {
  return [plans, total = plans * static_cast<std::size_t>(repeat), next = std::size_t{0}]() mutable {
    return next < total ? std::optional(next++ % plans) : std::nullopt;
  };
}

/// All replays of one run(): the next one is made while others run, and each is cleaned up while the next one runs.
class Series {
public:
  Series(const std::vector<Plan> &plans, const RunOptions &options,
         const std::function<void(std::size_t, Report)> &hand_over)
      : plans_(plans), options_(options), in_order_(hand_over),
        next_plan_(options.next_plan ? options.next_plan : in_turn(plans.size(), options.repeat)) {}

  Ran run() {
    std::optional<os::EndRequests> requests(std::in_place);
    while (!(ran_.interrupted_by = requests->take())) {
      take_ended();
      begin();
      if (running_.empty())
        break;
      make_next();
      wait_for_any(running_, leaving_, *requests);
      collect();
    }
    requests.reset(); // from here on a request is obeyed at once
    take_ended();
    next_.clear();
    running_.clear();
    leaving_.clear();
    in_order_.put_rest();
    return ran_;
  }

private:
  void begin() {
    if (options_.is_over()) {
      all_begun_ = true;
      next_.clear();
    }
    while (std::cmp_less(running_.size(), options_.jobs) && make_next()) {
      next_.front().number = begun_++;
      next_.front().sandbox.let_go();
      running_.splice(running_.end(), next_);
    }
  }

  /// False: there is none any more.
  bool make_next() {
    if (next_.empty() && !all_begun_) {
      auto plan = next_plan_();
      if (plan)
        next_.push_back(start(*plan, plans_, options_));
      all_begun_ = !plan;
    }
    return !next_.empty();
  }

  void collect() {
    leaving_.remove_if([](Sandbox &sandbox) { return sandbox.collect(); });
    for (auto replay = running_.begin(); replay != running_.end();) {
      auto at = replay++;
      if (at->sandbox.collect() || (plans_[at->plan].may_overlap() && at->sandbox.has_result()))
        ended_.splice(ended_.end(), running_, at);
    }
  }

  void take_ended() {
    for (; !ended_.empty(); ended_.pop_front()) {
      auto &replay = ended_.front();
      auto report = finish(replay, plans_[replay.plan], options_.tier);
      options_.on_done(++ran_.done, report);
      in_order_.put(replay.number, replay.plan, std::move(report));
      leaving_.push_back(std::move(replay.sandbox));
    }
  }

  const std::vector<Plan> &plans_;
  const RunOptions &options_;
  InOrder in_order_;
  std::function<std::optional<std::size_t>()> next_plan_;
  Ran ran_;
  bool all_begun_ = false;
  std::size_t begun_ = 0;
  std::list<Running> next_, running_, ended_; // their sandboxes go with them, so also by an exception
  std::list<Sandbox> leaving_;
};

} // namespace

Report described(const Plan &plan) {
  Report report;
  describe(plan, report);
  return report;
}

Ran run(const std::vector<Plan> &plans, const RunOptions &options,
        const std::function<void(std::size_t plan, Report)> &on_report) {
  if (auto why = os::why_blind(); options.tier == reports::Tier::subreaper && !why.empty())
    throw std::runtime_error("nothing was replayed: " + why); // at other tiers a sandbox has a /proc of its own
  for (const auto *place : {&options.facilities.pids, &options.facilities.memory})
    if (!place->parent.empty())
      os::sweep_stale_cgroups(place->parent);
  return Series(plans, options, on_report).run();
}

Report run(const Plan &plan) {
  static const auto facilities = find_facilities();
  Report report;
  auto ran = run({plan}, {.facilities = facilities, .tier = facilities.strongest},
                 [&](std::size_t, Report result) { report = std::move(result); });
  if (ran.interrupted_by)
    report.reason = "the replay was interrupted";
  return report;
}

} // namespace pidleak::replay

#include "harness/replay/server/requirements.hpp"

#include <algorithm>
#include <tuple>

namespace pidleak::replay {

std::string why_skipped(const Plan &plan, const Inside &inside) {
  const auto &[scenario, conditions, server] = std::tie(plan.scenario, plan.scenario.conditions, *plan.pool.server);
  bool is_busy = conditions.tasks != Tasks::ended;
  if (!plan.pool.lacks.empty())
    return plan.pool.lacks;
  if (!scenario.is_for(SubjectKind::server))
    return scenario.name + " is for pools: it needs what a server's processes do not show";
  if (plan.is_traced())
    return "points of execution are recorded of pools and of commands: pidleak sweep --until-port PORT -- COMMAND";
  if (is_busy && server.busy_by == BusyBy::nothing)
    return "it is not known how to keep a worker of it busy: --busy, or \"busy\" in its description, says that";
  if (conditions.tasks == Tasks::never_end && server.busy_by == BusyBy::itself)
    return "a request that ends by itself can't be kept for ever; --tasks finish takes it as it is";
  if (conditions.death == Death::oom && server.allocate.empty())
    return "it is not known how to make a worker of it allocate: its description has no \"allocate\"";
  if (needs_real_oom(plan) && inside.memory_cgroup.empty())
    return "no memory cgroup for a real OOM kill: " + inside.memory_lacks +
           "; --oom=sigkill uses a plain SIGKILL instead";
  if (scenario.as_pid_1 && inside.tier == reports::Tier::subreaper)
    return "no PID namespace is to be had here, in which it could be PID 1";
  return "";
}

} // namespace pidleak::replay

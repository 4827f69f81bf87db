#include "harness/replay/occupied_workers.hpp"

#include "harness/os/patience.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

namespace pidleak::replay {
namespace {

[[noreturn]] void refuse_stranger(pid_t pid) {
  throw SubjectFailure(fmt::format("the subject reports a worker with pid {}, but has no such descendant", pid));
}

void check_worker(pid_t pid, long long task, int workers, const os::ProcessRef &subject) {
  if (pid == subject.pid())
    throw SubjectFailure(fmt::format("the subject (pid {}) runs a task itself: workers are processes", pid));
  if (task < 0 || task >= workers)
    throw SubjectFailure(
        fmt::format("worker {} says that it is in task {}; 0 to {} were submitted", pid, task, workers - 1));
}

void wait_until_in_tasks(const Plan &plan, Conversation &conversation) {
  auto workers = plan.scenario.conditions.workers;
  const auto &task_of = conversation.heard().task_of;
  std::set<pid_t> known;
  auto in_task = [&] {
    for (const auto &[pid, task] : task_of)
      if (known.insert(pid).second)
        check_worker(pid, task, workers, conversation.subject());
    return task_of.size();
  };
  bool have_come = conversation.hear_within_bound([&] { return std::cmp_greater_equal(in_task(), workers); });
  if (!have_come && conversation.ends_waits_at_rest())
    throw Stalled{"start its tasks"};
  if (!have_come)
    throw SubjectFailure(fmt::format("{} tasks were submitted, and {} processes have said within {} ms that they are "
                                     "in one",
                                     workers, in_task(), plan.step_bound.count()));
}

/// A worker is a process that has reported from a task: many pools start theirs only when there is one.
std::vector<os::ProcessRef> hold_workers(const Heard &heard, const census::Tree &tree) {
  auto order = heard.workers;
  for (const auto &[pid, task] : heard.task_of)
    if (std::find(order.begin(), order.end(), pid) == order.end())
      order.push_back(pid);
  std::vector<os::ProcessRef> processes;
  for (pid_t pid : order) {
    auto worker = os::ProcessRef::open(pid);
    if (!worker)
      refuse_stranger(pid);
    processes.push_back(std::move(*worker));
  }
  if (auto stranger = tree.first_stranger(order))
    refuse_stranger(*stranger);
  return processes;
}

/// That a worker is in its task, and stays there until the driver opens its gate, is more than a word of its own.
void check_gates(milliseconds step_bound, Conversation &conversation) {
  for (const auto &[pid, task] : conversation.heard().task_of) {
    auto gate = fmt::format("{}/{}", conversation.channel().directory(), task_gate(task));
    auto waits = [&gate, worker = pid] {
      auto fds = os::read_fds(worker, [&](const std::string &target) { return target == gate; });
      return !fds || !fds->empty();
    };
    auto deadline = os::Patience::of(step_bound);
    for (Backoff backoff; !waits(); conversation.hear(backoff.next()))
      if (deadline.passed())
        throw SubjectFailure(fmt::format("worker {} says that it is in task {}, and has not opened {} within {} ms",
                                         pid, task, task_gate(task), step_bound.count()));
  }
}

Disposition sigterm_of(const os::ProcessRef &process) {
  auto status = os::read_status(process.pid());
  return status ? Disposition(os::action_of(*status, SIGTERM)) : std::nullopt;
}

} // namespace

OccupiedWorkers occupy(const Plan &plan, Conversation &conversation, const census::Tree &tree) {
  conversation.submit(0, plan.scenario.conditions.workers);
  wait_until_in_tasks(plan, conversation);
  OccupiedWorkers workers{.processes = hold_workers(conversation.heard(), tree), .sigterm = {}, .owners_sigterm = {}};
  check_gates(plan.step_bound, conversation);
  for (const auto &worker : workers.processes)
    workers.sigterm[worker.pid()] = sigterm_of(worker);
  workers.owners_sigterm = sigterm_of(conversation.subject());
  return workers;
}

} // namespace pidleak::replay

// A hand-made report of the incident, as long and as rich as real ones.
#pragma once

#include "reports/sample_reports.hpp"

namespace pidleak::testing {

inline census::RemainingProcess leaked_worker(pid_t pid, const census::Finding &finding) {
  auto process = live_worker(pid);
  process.diagnosis = {finding, {census::Cause::sigterm_caught, "SIGTERM was sent, and its handler returned"}};
  return process;
}

/// The incident as it happens: a worker is OOM-killed, SIGTERM is caught, queue.Full ends the management thread.
inline Report leaked_incident() {
  auto report = minimal_report();
  report.conditions = {{"death", "oom"}, {"queue", "full"}, {"sigterm", "handler"}, {"start-method", "fork"}};
  report.workers = 4;
  report.verdict = reports::Verdict::leaked;
  report.reason = "3 live remain after shutdown returned; queue.Full had ended the management thread";
  report.live = 3;
  report.census_complete = true;
  report.evidence = {
      {.condition = "death", .shown = true, .text = "worker 6 was OOM-killed", .facts = {{"oom kills", "1"}}},
      {.condition = "queue", .shown = true, .text = "5 of 5 slots were taken", .facts = {{"capacity", "5"}}}};
  auto note = [&](double at_ms, const char *event, std::optional<pid_t> pid, const char *detail = "") {
    report.timeline.push_back({.at_ms = at_ms, .event = event, .pid = pid, .detail = detail});
  };
  note(1.0, "subject-started", 2, "pidleak-subject");
  for (pid_t pid : {3, 4, 5, 6})
    note(4.0 + 0.01 * pid, "spawned", pid, "worker");
  for (pid_t pid : {3, 4, 5, 6})
    note(4.4 + 0.02 * pid, "task-started", pid, "task");
  note(6.8, "fault", 6, "told to allocate 64 MiB in a memory cgroup of 4 MiB");
  note(11.68, "pool-broken", {}, "call queue at 5 of 5");
  note(11.76, "exited", 6, "killed by SIGKILL");
  for (pid_t pid : {3, 4, 5})
    note(11.76 + 0.01 * pid, "signal-sent", pid, "SIGTERM");
  note(12.0, "reaped", 6, "killed by SIGKILL");
  note(12.1, "shutdown-called", {});
  note(12.3, "tasks-released", {});
  note(13.8, "management-thread-ended", {}, "queue.Full");
  note(13.81, "shutdown-returned", {});
  for (pid_t pid : {3, 4, 5})
    note(16.0, "remains", pid, "live");
  report.remaining = {
      leaked_worker(3, {census::Cause::waits_for_lock, "waits for the call queue's lock, which pid 4 holds"}),
      leaked_worker(4, {census::Cause::pipe_held_open, "reads the call queue's pipe, which pids 3 and 5 hold open"}),
      leaked_worker(5, {census::Cause::waits_for_lock, "waits for the call queue's lock, which pid 4 holds"})};
  report.owner = live_worker(2);
  report.owner->waits.push_back({.thread = 7, .state = 'S', .syscall = "poll", .arguments = {1, 2, 3}});
  report.settled_by = reports::SettledBy::quiescence;
  report.settle_ms = 3.0;
  report.shutdown_ms = 1.7;
  report.total_ms = 31.2;
  return report;
}

} // namespace pidleak::testing

#include "harness/replay/execution.hpp"

#include "harness/os/signals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace pidleak::replay {

using tracing::FaultKind;

namespace {

/// What stands in for an OOM kill where the user has said so.
tracing::Fault fault_of(const Plan &plan) {
  auto fault = plan.point_fault->fault;
  if (fault.kind == FaultKind::oom && plan.oom == OomMode::sigkill)
    fault.kind = FaultKind::kill;
  return fault;
}

std::optional<tracing::FaultAt> fault_at(const Plan &plan) {
  if (!plan.point_fault)
    return {};
  return tracing::FaultAt{
      .birth = plan.point_fault->birth, .place = plan.point_fault->point.place, .fault = fault_of(plan)};
}

/// `read(0x4, ...) of the call queue's pipe, with the call queue's lock in hand`.
std::string call_text(const tracing::Stop &stop, const std::string &about) {
  auto text = stop.place.occurrence.name;
  if (stop.result)
    text += fmt::format(" = {}", *stop.result);
  if (!about.empty())
    text += " of " + about;
  if (!stop.circumstances.empty())
    text += fmt::format(", with {} in hand", stop.circumstances);
  return text;
}

std::string what_was_done(const tracing::Fault &fault) {
  switch (fault.kind) {
  case FaultKind::kill:
    return "SIGKILL";
  case FaultKind::term:
    return "SIGTERM";
  case FaultKind::oom:
    return "an OOM kill";
  case FaultKind::errno_:
    return tracing::error_name(fault.error) + " instead of the call";
  }
  return "";
}

} // namespace

Execution::Execution(const Plan &plan, const Inside &inside, const os::ProcessRef &subject,
                     std::vector<std::string> steps)
    : plan_(plan),
      tracer_(subject, {.steps = std::move(steps),
                        .begins_at_exec = plan.command.has_value(),
                        .fault = fault_at(plan),
                        .only = plan.record_only,
                        .close_trap = [this](const os::ProcessRef &victim) { trap_->close_on(victim, 0); },
                        .look_closer = [this](const tracing::Stop &stop) { return names_.lock_in_hand(stop); }}) {
  if (needs_real_oom(plan)) { // nothing runs yet that could come to the point
    trap_.emplace(inside.memory_cgroup, inside.memory_version);
    kills_before_ = trap_->kills();
  }
}

pid_t Execution::died_with_lock() const {
  const auto &injected = tracer_.injected();
  return injected && !injected->stop.circumstances.empty() ? injected->stop.pid : 0;
}

std::string Execution::actor_of(const tracing::TracedProcess &process, const RoleOf &role_of) const {
  auto role = role_of(process.pid);
  if (!role)
    return "";
  tracing::Actor actor{.role = *role, .number = 0};
  for (const auto &other : tracer_.recorded()) { // in the order of their birth
    if (role_of(other.pid) == role)
      ++actor.number;
    if (&other == &process)
      break;
  }
  return to_text(actor);
}

void Execution::report(reports::Report &report, const RoleOf &role_of) const {
  if (!plan_.point_fault) {
    for (const auto &process : tracer_.recorded()) {
      reports::RecordedProcess recorded{.actor = actor_of(process, role_of), .birth = process.birth, .points = {}};
      auto actor = tracing::parse_actor(recorded.actor);
      for (const auto &stop : process.stops)
        if (actor)
          recorded.points.push_back({.point = to_text(tracing::Point{.actor = *actor, .place = stop.place}),
                                     .about = names_.about(stop.target),
                                     .holding = stop.circumstances});
      report.recording.push_back(std::move(recorded));
    }
    return;
  }
  const auto &injected = tracer_.injected();
  auto evidence = show_fault(injected);
  report.point_fault =
      reports::PointFault{.point = to_text(plan_.point_fault->point),
                          .fault = to_text(plan_.point_fault->fault),
                          .birth = plan_.point_fault->birth,
                          .reached = evidence.shown,
                          .call = injected ? call_text(injected->stop, names_.about(injected->stop.target)) : ""};
  report.evidence.push_back(std::move(evidence));
}

reports::Evidence Execution::show_fault(const std::optional<tracing::Injected> &injected) const {
  auto point = to_text(plan_.point_fault->point);
  reports::Evidence evidence{
      .condition = spell(MustShow::fault), .shown = false, .text = "", .facts = {{"point", point}}};
  if (!injected) {
    evidence.text = "no process came to " + point;
    return evidence;
  }
  const auto &stop = injected->stop;
  auto fault = fault_of(plan_);
  evidence.shown = injected->done;
  evidence.text = fmt::format("{} at {}: process {} in {}", what_was_done(fault), point, stop.pid,
                              call_text(stop, names_.about(stop.target)));
  evidence.facts["pid"] = std::to_string(stop.pid);
  evidence.facts["thread"] = std::to_string(stop.thread);
  if (stop.place.occurrence.when) {
    evidence.facts["call"] = std::to_string(stop.call);
    for (std::size_t i = 0; i < stop.arguments.size(); ++i)
      evidence.facts[fmt::format("argument-{}", i + 1)] = fmt::format("{:#x}", stop.arguments[i]);
  }
  if (injected->status) {
    evidence.facts["wait-status"] = injected->status->text();
    if (fault.kind == FaultKind::kill && *injected->status != os::WaitStatus{.signaled = true, .value = SIGKILL}) {
      evidence.shown = false;
      evidence.text += fmt::format("; but it {}", injected->status->text());
    }
  }
  if (trap_) {
    auto kills = trap_->kills() - kills_before_;
    evidence.facts["oom-kills"] = std::to_string(kills);
    evidence.shown = evidence.shown && kills > 0;
    if (kills == 0)
      evidence.text += "; but it needed no memory any more";
  }
  return evidence;
}

} // namespace pidleak::replay

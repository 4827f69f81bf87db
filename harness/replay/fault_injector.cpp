#include "harness/replay/fault_injector.hpp"

#include "harness/replay/faults.hpp"

#include <fmt/format.h>

#include <csignal>
#include <functional>
#include <memory>

namespace pidleak::replay {

using protocol::Message;

namespace {

/// What a fault is inflicted on.
struct Target {
  const os::ProcessRef &process;
  std::function<void(int mebibytes)> tell_to_allocate;
};

// --- the faults: each is inflicted on the target, and tells what is known then ---------------------------------------

DeathFacts wait_for_death(const Target &target, Conversation &conversation) {
  DeathFacts facts{.victim = target.process.pid()};
  facts.exited = conversation.hear_until_exit(target.process) && !conversation.heard().survived_allocation;
  if (facts.exited)
    facts.status = target.process.exit_status();
  return facts;
}

DeathFacts kill_by_oom(const Target &target, const FaultSite &site) {
  OomTrap trap(site.inside.memory_cgroup, site.inside.memory_version);
  auto kills_before = trap.kills();
  trap.close_on(target.process);
  site.conversation.note(
      "fault", target.process.pid(),
      fmt::format("told to allocate {} MiB in a memory cgroup of {} KiB", OomTrap::allocation_mib, OomTrap::limit_kib));
  target.tell_to_allocate(OomTrap::allocation_mib);
  auto facts = wait_for_death(target, site.conversation);
  facts.oom_kills = trap.kills() - kills_before;
  return facts;
}

DeathFacts kill_by_signal(const Target &target, const FaultSite &site) {
  site.conversation.note("fault", target.process.pid(), "SIGKILL");
  bool delivered = !target.process.has_exited() && target.process.send(SIGKILL);
  auto facts = wait_for_death(target, site.conversation);
  facts.kill_delivered = delivered;
  return facts;
}

DeathFacts inflict(const Target &target, const FaultSite &site) {
  auto facts = needs_real_oom(site.plan) ? kill_by_oom(target, site) : kill_by_signal(target, site);
  site.conversation.note("exited", facts.victim,
                         facts.status   ? facts.status->text()
                         : facts.exited ? ""
                                        : "it did not");
  return facts;
}

// --- where, and in which order ---------------------------------------------------------------------------------------

class WorkerFault {
public:
  explicit WorkerFault(const FaultSite &site)
      : site_(site), conditions_(site.plan.scenario.conditions), conversation_(site.conversation),
        // The one started last: a pool that joins in order then blocks on another first.
        victim_(site.workers.processes.back()) {}

  InjectedFault inject() {
    auto gate = bring_victim_to_its_point();
    if (conditions_.race == Race::count_first)
      slow_down_exits();
    auto allocate = [&](int mebibytes) { conversation_.channel().order(gate, fmt::format("allocate {}", mebibytes)); };
    InjectedFault fault{.death = inflict({.process = victim_, .tell_to_allocate = allocate}, site_), .race = {}};
    wait_for_reaction();
    bool held = slow_exits_ && slow_exits_->still_held() && has_reacted_as_it_says();
    if (fault.death.exited && conditions_.death_point == DeathPoint::holding_queue_lock)
      fault.died_with_lock = fault.death.victim;
    fault.race = show_race(conditions_, holds_before_count(conditions_, site_.offers), held);
    return fault;
  }

private:
  /// Returns the gate at which it is held.
  std::string bring_victim_to_its_point() {
    auto gate = task_gate(conversation_.heard().task_of.at(victim_.pid()));
    if (conditions_.death_point == DeathPoint::in_task)
      return gate;
    auto point = spell(conditions_.death_point);
    conversation_.channel().choose(point, victim_.pid());
    conversation_.channel().order(gate, "finish");
    conversation_.hear_until([&] { return is_held(point, victim_); }, "come to the point " + point);
    return "gate-" + point;
  }

  bool is_held(const std::string &point, const os::ProcessRef &process) const {
    return conversation_.heard().held.contains({point, process.pid()});
  }

  void slow_down_exits() {
    std::vector<const os::ProcessRef *> survivors;
    for (const auto &worker : site_.workers.processes)
      if (&worker != &victim_)
        survivors.push_back(&worker);
    slow_exits_ = std::make_unique<SlowExits>(victim_, survivors, Deadline::after(site_.plan.step_bound));
    conversation_.note("exits-slowed-down", victim_.pid(), "the victim is traced, the other workers are stopped");
  }

  /// The pool has noticed, and done all that it does before it waits for its workers.
  void wait_for_reaction() {
    if (holds_before_count(conditions_, site_.offers))
      order_exits_before_count();
    // A pool that never reacts, or does not say so, is no failure of the replay: shutdown is called all the same.
    conversation_.hear_until_rest(site_.tree,
                                  site_.offers.reports_breakage ? site_.plan.step_bound : site_.plan.shutdown_patience,
                                  [&] { return has_reacted(); });
    // A victim that is traced shows its end to a pidfd or a pipe, and to no wait of its parent's.
    if (!has_reacted_as_it_says() && !slow_exits_ && conditions_.death_point == DeathPoint::in_task)
      conversation_.note("mistake", {}, "hello: reports_breakage is true, and breakage_handled was not sent");
  }

  bool has_reacted() const {
    return conversation_.heard().breakage_handled || conversation_.heard().management_thread_ended;
  }
  bool has_reacted_as_it_says() const { return !site_.offers.reports_breakage || has_reacted(); }

  /// Its terminated workers die first, as far as SIGTERM ends them at all; then it may count those that live.
  void order_exits_before_count() {
    auto held = [&] { return is_held("before-count", conversation_.subject()); };
    conversation_.hear_until_rest(site_.tree, site_.plan.step_bound,
                                  [&] { return held() || conversation_.heard().breakage_handled; });
    if (!held())
      return; // this behaviour does not count
    for (const auto &worker : site_.workers.processes)
      if (&worker == &victim_ || site_.workers.sigterm.at(worker.pid()) == os::SignalAction::default_ ||
          conditions_.terminate == Terminate::sigkill)
        conversation_.hear_until_exit(worker);
    conversation_.channel().order("gate-before-count", "finish");
  }

  const FaultSite &site_;
  const Conditions &conditions_;
  Conversation &conversation_;
  const os::ProcessRef &victim_;
  std::unique_ptr<SlowExits> slow_exits_; // let go when this goes
};

/// As a service in a Pod ends: no process is left that could shut the pool down.
InjectedFault inject_into_owner(const FaultSite &site) {
  site.conversation.expect_exit();
  auto allocate = [&](int mebibytes) {
    site.conversation.send(Message::command("allocate", {{"mebibytes", mebibytes}}));
  };
  auto death = inflict({.process = site.conversation.subject(), .tell_to_allocate = allocate}, site);
  return {.death = death, .owner_killed = death.exited, .race = {}};
}

} // namespace

std::optional<InjectedFault> inject_fault(const FaultSite &site) {
  const auto &conditions = site.plan.scenario.conditions;
  if (conditions.death == Death::none)
    return {};
  return conditions.victim == Victim::owner ? inject_into_owner(site) : WorkerFault(site).inject();
}

bool holds_before_count(const Conditions &conditions, const Offers &offers) {
  return conditions.race == Race::exit_first && conditions.death != Death::none && offers.holds_before_count;
}

} // namespace pidleak::replay

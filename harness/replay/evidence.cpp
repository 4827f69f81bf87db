#include "harness/replay/evidence.hpp"

#include <fmt/format.h>

#include <csignal>

namespace pidleak::replay {

using reports::Evidence;

namespace {

std::string words_of(Disposition disposition) { return disposition ? spell(*disposition) : "unknown"; }

/// What the kernel shows where the condition holds.
os::SignalAction shows_as(Sigterm condition) {
  switch (condition) {
  case Sigterm::default_:
    return os::SignalAction::default_;
  case Sigterm::handler:
  case Sigterm::exits:
    return os::SignalAction::handler;
  case Sigterm::ignored:
    return os::SignalAction::ignored;
  case Sigterm::blocked:
    break;
  }
  return os::SignalAction::blocked;
}

} // namespace

Evidence show_sigterm(const Conditions &conditions, Disposition in_subject, const Dispositions &in_workers,
                      bool runtime_handles) {
  std::map<Disposition, int> counts;
  for (const auto &[pid, action] : in_workers)
    ++counts[action];
  Evidence evidence{.condition = "sigterm", .shown = false, .text = "", .facts = {}};
  evidence.facts = {{"subject", words_of(in_subject)}, {"wanted", spell(conditions.sigterm)}};
  std::string as_subject, others; // of the workers
  for (const auto &[action, count] : counts) {
    bool same = action == in_subject;
    (same ? as_subject : others) +=
        fmt::format("{} in {} of {} workers", same ? " and" : ", " + words_of(action), count, in_workers.size());
    evidence.facts["workers " + words_of(action)] = std::to_string(count);
  }
  // Starting a tracker or a fork server may have unblocked it again, which is the pool's doing.
  evidence.shown = in_subject == shows_as(conditions.sigterm) ||
                   (conditions.sigterm == Sigterm::blocked && conditions.start_method != StartMethod::fork);
  evidence.text = fmt::format("SIGTERM {} in the subject{}{}", words_of(in_subject), as_subject, others);
  if (runtime_handles && conditions.sigterm == Sigterm::default_ && in_subject == os::SignalAction::handler) {
    evidence.shown = true;
    evidence.text += " (according to the pool, its runtime's own handler, which ends the process)";
  }
  return evidence;
}

Evidence show_death(const Conditions &conditions, const DeathFacts &facts) {
  Evidence evidence{.condition = "death",
                    .shown = false,
                    .text = fmt::format("{} {} ", spell(conditions.victim), facts.victim),
                    .facts = {}};
  evidence.facts = {{"pid", std::to_string(facts.victim)}};
  const os::WaitStatus killed{.signaled = true, .value = SIGKILL};
  auto status = facts.status ? facts.status : facts.status_told;
  if (!facts.exited) {
    evidence.text += "survived";
  } else if (!status) {
    // Another process reaped it before the driver could look, on a kernel before 6.15. A SIGKILL that was delivered is
    // proof enough, as is the count of a group in which the victim was alone.
    evidence.text += "has exited, and this kernel does not report its status";
    evidence.facts["wait status"] = "unknown";
    evidence.shown = facts.kill_delivered || facts.oom_kills.has_value();
  } else {
    evidence.text += "was " + status->text() + (facts.status ? "" : " (the pool says)");
    evidence.facts["wait status"] = status->text();
    evidence.facts["wait status from"] = facts.status ? "kernel" : "pool";
    evidence.shown = *status == killed;
  }
  if (facts.oom_kills) {
    evidence.text +=
        fmt::format("; its memory cgroup counted {} OOM kill{}", *facts.oom_kills, *facts.oom_kills == 1 ? "" : "s");
    evidence.facts["oom_kill delta"] = std::to_string(*facts.oom_kills);
    evidence.shown = evidence.shown && *facts.oom_kills == 1;
  } else if (conditions.death == Death::oom) {
    evidence.text += "; a plain SIGKILL stood in for the OOM kill (--oom=sigkill)";
    evidence.facts["substitute"] = "sigkill";
  }
  return evidence;
}

bool was_reaped(const DeathFacts &facts) { return !os::read_stat(facts.victim); }

Evidence show_reaction(bool replaced, bool reaped, std::optional<double> seconds) {
  auto text = replaced ? std::string("it was replaced") : std::string("it was not replaced");
  if (replaced && seconds)
    text += fmt::format(" after {:.2f} s", *seconds);
  text += reaped ? "" : ", and is a zombie";
  return {.condition = "replaced",
          .shown = true,
          .text = text,
          .facts = {{"replaced", replaced ? "yes" : "no"}, {"zombie", reaped ? "no" : "yes"}}};
}

Evidence show_queue(const Conditions &conditions, int depth, int capacity, bool at_break) {
  bool full = conditions.queue == CallQueueState::full;
  bool curable = full && conditions.queue_slots == QueueSlots::plenty; // then it can't get full: that is the cure
  return {.condition = "queue",
          .shown = curable ? depth > 0 && depth < capacity : depth == (full ? capacity : 0),
          .text = fmt::format("{} of {} slots of the call queue were taken when {}", depth, capacity,
                              at_break ? "the pool broke" : "the workers were in their tasks"),
          .facts = {{"depth", std::to_string(depth)}, {"capacity", std::to_string(capacity)}}};
}

Evidence show_race(const Conditions &conditions, bool forced, bool held) {
  bool slowed = conditions.race == Race::count_first;
  return {
      .condition = "race",
      .shown = held || !slowed,
      .text =
          slowed && !held
              ? "order not forced: the workers' exits were delayed, and the pool noticed none of them meanwhile: it "
                "waits for the processes themselves, which a tracer prevents"
          : slowed ? "order forced: the workers exited only after the pool had counted its live workers"
          : forced ? "order forced: the workers that SIGTERM ends had exited before the pool could count them"
                   : "order left to chance: this pool can't be held before it counts its workers",
      .facts = {{"order", spell(conditions.race)}, {"forced", forced || slowed ? "yes" : "no"}}};
}

} // namespace pidleak::replay

#include "harness/replay/evidence.hpp"

#include <fmt/format.h>

#include <csignal>

namespace pidleak::replay {

using reports::Evidence;

Evidence show_sigterm(const Conditions &conditions, const std::string &in_subject,
                      const std::map<pid_t, std::string> &in_workers, bool runtime_handles) {
  std::map<std::string, int> counts;
  for (const auto &[pid, action] : in_workers)
    ++counts[action];
  Evidence evidence{.condition = "sigterm", .shown = false, .text = "", .facts = {}};
  evidence.facts = {{"subject", in_subject}, {"wanted", spell(conditions.sigterm)}};
  std::string workers;
  for (const auto &[action, count] : counts) {
    workers += fmt::format("{}{} in {}", workers.empty() ? "" : ", ", action, count);
    evidence.facts["workers " + action] = std::to_string(count);
  }
  auto shows_as = conditions.sigterm == Sigterm::exits ? Sigterm::handler : conditions.sigterm; // to the kernel
  // Starting a tracker or a fork server may have unblocked it again, which is the pool's doing.
  evidence.shown = in_subject == spell(shows_as) ||
                   (conditions.sigterm == Sigterm::blocked && conditions.start_method != StartMethod::fork);
  evidence.text =
      fmt::format("SIGTERM is {} in the subject; of {} workers: {}", in_subject, in_workers.size(), workers);
  if (runtime_handles && conditions.sigterm == Sigterm::default_ && in_subject == "handler") {
    evidence.shown = true;
    evidence.text += " (its runtime's own, which ends it, as the pool says)";
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
    // Somebody reaped it before anybody could look, on a kernel before 6.15. A SIGKILL that was delivered is proof
    // enough, as is the count of a group in which the victim was alone.
    evidence.text += "is gone, and this kernel does not tell how it ended";
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
  return {.condition = "race",
          .shown = held || !slowed,
          .text = slowed && !held
                      ? "the workers' exits were held up, and the pool did not react before they were let go: it "
                        "learns of a death by waiting for the process, which a tracer prevents"
                  : slowed ? "the workers' exits were held up until the pool had counted those that live"
                  : forced ? "the pool was held until the workers that SIGTERM ends had exited, where it counts at all"
                           : "left to chance: this pool can't be held before it counts its workers",
          .facts = {{"order", spell(conditions.race)}, {"forced", forced || slowed ? "yes" : "no"}}};
}

} // namespace pidleak::replay

#include "harness/replay/final_census.hpp"

#include "harness/os/patience.hpp"
#include "harness/os/subreaper.hpp"
#include "reports/census_record.hpp"

#include <unistd.h>

namespace pidleak::replay {

using reports::Report;

namespace {

/// Who waited for room in standard error's pipe waited for this process.
census::Rest rest_of(const CensusSite &site, const census::Walk &walk) {
  auto written = site.conversation.errors_written();
  auto rest = site.tree.rest(walk);
  if (!rest.certain)
    return rest;
  bool has_spoken = site.conversation.hear(std::chrono::microseconds(0));
  if (has_spoken || site.conversation.errors_written() != written)
    return {.certain = false, .why_not = "it had not said all"};
  return rest;
}

census::Settled settle_until(const CensusSite &site, const Conversation::Done &done,
                             const std::map<pid_t, std::string> &may_stay, milliseconds bound) {
  auto stays = [&](pid_t pid) { return pid == site.conversation.subject().pid() || may_stay.contains(pid); };
  auto deadline = Deadline::after(bound);
  auto patience = os::Patience::of(bound);
  bool runs = false;
  return census::settle(
      {.see = [&] { return site.tree.see(stays); },
       .rest =
           [&](const auto &walk) {
             auto rest = rest_of(site, walk);
             runs = rest.mover && rest.mover->runs;
             return rest;
           },
       .wait = [&](auto at_most, const auto &exits) { return site.conversation.hear(at_most, exits); },
       .done = done,
       .is_over = [&] { return deadline.passed() && (!runs || patience.passed()); }});
}

milliseconds bound_of(const CensusSite &site) { return site.plan.settle_bound + site.offers.longest_timer; }

census::Knowledge knowledge_of(const CensusSite &site, const std::vector<census::RemainingProcess> &remaining) {
  const auto &conditions = site.plan.scenario.conditions;
  const auto &heard = site.conversation.heard();
  census::Knowledge known{.harness = ::getpid(),
                          .sent_sigterm = heard.sent_sigterm,
                          .inherit_handlers = site.workers.owners_sigterm == os::SignalAction::handler &&
                                              conditions.start_method == StartMethod::fork};
  for (const auto &[pid, action] : site.workers.sigterm)
    if (action == os::SignalAction::handler)
      known.caught_from_the_start.insert(pid);
  if (conditions.tasks == Tasks::never_end)
    for (const auto &[pid, task] : heard.task_of)
      known.in_task.emplace(pid, std::to_string(task));
  for (const auto &process : remaining)
    if (auto ended = os::ProcessRef::open(process.pid); ended && process.state == census::ProcessState::zombie)
      if (auto status = ended->exit_status())
        known.ends.emplace(process.pid, status->text());
  if (site.fault && site.fault->died_with_lock != 0)
    known.died_with_lock = site.fault->died_with_lock;
  return known;
}

/// The owner is examined as well where it is to be asked why: what remains is its, or shutdown waits in it.
void keep_remaining(const CensusSite &site, const census::Walk &walk, bool has_ended, Report &report) {
  const auto &heard = site.conversation.heard();
  auto remaining = site.tree.examine(walk, heard.helpers);
  for (auto &process : remaining)
    if (auto told = heard.forked_at.find(process.pid); told != heard.forked_at.end())
      process.forked_at = told->second;
  auto knowledge = knowledge_of(site, remaining);
  auto owner = has_ended && remaining.empty() ? std::nullopt : site.tree.examine_subject(walk);
  reports::record_remaining(report, std::move(remaining), std::move(owner), knowledge);
  for (const auto &process : report.remaining)
    site.conversation.note("remains", process.pid, spell(process.kind));
}

} // namespace

void wait_until_stuck(const CensusSite &site, milliseconds bound, const Conversation::Done &done) {
  settle_until(site, done, site.conversation.heard().helpers, bound);
}

void take_census(const CensusSite &site, Clock::time_point since, Report &report) {
  const auto &heard = site.conversation.heard();
  bool is_gone =
      (site.fault && site.fault->owner_killed) || (site.stopping && site.conversation.subject().has_exited());
  auto may_stay = is_gone ? std::map<pid_t, std::string>() : heard.helpers; // there is no owner to help any more
  auto has_ended = [&] {
    if (site.stopping == Stopping::exits)
      return site.conversation.subject().has_exited();
    return is_gone || heard.shutdown_returned || !heard.shutdown_called;
  };
  auto settled = settle_until(site, has_ended, may_stay, bound_of(site));
  reports::record_settled(report, settled, since);
  report.cgroup_agrees = site.tree.agrees_with_cgroup(settled.walk);
  keep_remaining(site, settled.walk, has_ended(), report);
}

void take_census_after_subject(const CensusSite &site, Report &report) {
  auto settled = settle_until(
      site, [] { return true; }, {}, bound_of(site));
  report.nothing_left_below = os::reap_exited_children();
  Report after; // the counts stay those of the subject's life
  keep_remaining(site, settled.walk, true, after);
  report.remaining = std::move(after.remaining);
  report.owner = std::move(after.owner);
}

} // namespace pidleak::replay

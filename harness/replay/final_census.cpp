#include "harness/replay/final_census.hpp"

#include "harness/os/subreaper.hpp"
#include "reports/census_record.hpp"

#include <unistd.h>

namespace pidleak::replay {

using reports::Report;

namespace {

census::Settled settle_until(const CensusSite &site, const Conversation::Done &done,
                             const std::map<pid_t, std::string> &may_stay) {
  auto stays = [&](pid_t pid) { return pid == site.conversation.subject().pid() || may_stay.contains(pid); };
  auto deadline = Deadline::after(site.plan.settle_bound + site.offers.longest_timer);
  return census::settle(
      {.see = [&] { return site.tree.see(stays); },
       .rest = [&](const auto &walk) { return site.tree.rest(walk); },
       .wait = [&](auto at_most, const auto &exits) { return site.conversation.hear(at_most, exits); },
       .done = done,
       .is_over = [&] { return deadline.passed(); }});
}

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

void keep_remaining(const CensusSite &site, const census::Walk &walk, Report &report) {
  const auto &heard = site.conversation.heard();
  auto remaining = site.tree.examine(walk, heard.helpers);
  for (auto &process : remaining)
    if (auto told = heard.forked_at.find(process.pid); told != heard.forked_at.end())
      process.forked_at = told->second;
  auto knowledge = knowledge_of(site, remaining);
  reports::record_remaining(report, std::move(remaining), site.tree.examine_subject(walk), knowledge);
  for (const auto &process : report.remaining)
    site.conversation.note("remains", process.pid, spell(process.kind));
}

} // namespace

void take_census(const CensusSite &site, Clock::time_point since, Report &report) {
  const auto &heard = site.conversation.heard();
  bool owner_killed = site.fault && site.fault->owner_killed;
  auto may_stay = owner_killed ? std::map<pid_t, std::string>() : heard.helpers; // there is no owner to help any more
  auto settled = settle_until(
      site, [&] { return owner_killed || heard.shutdown_returned || !heard.shutdown_called; }, may_stay);
  reports::record_settled(report, settled, since);
  report.cgroup_agrees = site.tree.agrees_with_cgroup(settled.walk);
  keep_remaining(site, settled.walk, report);
}

void take_census_after_subject(const CensusSite &site, Report &report) {
  auto settled = settle_until(site, [] { return true; }, {});
  report.nothing_left_below = os::reap_exited_children();
  Report after; // the counts stay those of the subject's life
  keep_remaining(site, settled.walk, after);
  report.remaining = std::move(after.remaining);
  report.owner = std::move(after.owner);
}

} // namespace pidleak::replay

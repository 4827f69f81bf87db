#include "harness/replay/driver.hpp"

#include "harness/census/live_genealogy.hpp"
#include "harness/census/stacks.hpp"
#include "harness/os/seize.hpp"
#include "harness/replay/leftovers.hpp"
#include "harness/replay/steps.hpp"
#include "reports/census_record.hpp"

#include <functional>

namespace pidleak::replay {

using reports::Report;
using reports::Verdict;

namespace {

void check_requirements(const Plan &plan, const Inside &inside) {
  if (const auto &scenario = plan.scenario; !scenario.is_for(SubjectKind::pool))
    throw Judged{Verdict::skipped, scenario.name + " is for servers (--pool server:NAME, or --serve COMMAND)" +
                                       (scenario.why_no_pools.empty() ? "" : ": " + scenario.why_no_pools)};
  if (!plan.pool.lacks.empty())
    throw Judged{Verdict::skipped, plan.pool.lacks};
  if (needs_real_oom(plan) && inside.memory_cgroup.empty())
    throw Judged{Verdict::skipped, "no memory cgroup for a real OOM kill: " + inside.memory_lacks +
                                       "; --oom=sigkill uses a plain SIGKILL instead"};
}

std::vector<std::string> command_of(const PoolChoice &pool) {
  std::vector<std::string> command = {pool.program};
  command.insert(command.end(), pool.arguments.begin(), pool.arguments.end());
  return command;
}

void take_stacks(Report &report) {
  for (auto &process : report.remaining)
    census::take_stacks(process);
  if (report.owner)
    census::take_stacks(*report.owner);
}

/// The body's verdict, or the one that what it throws stands for.
Judged verdict_of(const std::function<Judged()> &body) {
  try {
    return body();
  } catch (const Judged &end) {
    return end;
  } catch (const os::TracingRefused &e) {
    return {Verdict::skipped, e.what()};
  } catch (const protocol::ProtocolError &e) {
    return {Verdict::broken, std::string("the subject does not speak the protocol: ") + e.what()};
  } catch (const std::exception &e) { // SubjectFailure among them
    return {Verdict::broken, e.what()};
  }
}

} // namespace

Report drive(const Plan &plan, const Inside &inside) {
  Report report;
  report.tier = inside.tier;
  report.tier_notes = inside.notes;
  Timeline timeline(inside.since);
  Channel channel(inside.scratch, all_tasks(plan.scenario), {"before-count", "holding-queue-lock", "half-result"});
  std::optional<census::LiveGenealogy> genealogy;
  std::optional<Leftovers> leftovers;
  std::optional<Conversation> conversation; // until the report is made: its end is the end of the subject's input
  auto judged = verdict_of([&] {
    check_requirements(plan, inside);
    if (plan.pool.preset
            .empty()) // who starts whom in our own pools is known, and to hear of it takes a tenth of a replay
      genealogy.emplace();
    leftovers.emplace(inside);
    auto since = Clock::now();
    conversation.emplace(plan, inside.lifeline, channel, timeline);
    if (genealogy)
      genealogy->begin(conversation->subject().pid(), command_of(plan.pool), since);
    return take_steps(plan, inside, *conversation, report);
  });
  if (conversation && genealogy)
    reports::record_genealogy(report, genealogy->now());
  if (auto stays = leftovers ? leftovers->show() : std::nullopt)
    report.evidence.push_back(*stays);
  report.verdict = judged.verdict;
  report.reason = judged.reason;
  if (plan.take_stacks && (report.verdict == Verdict::leaked || report.verdict == Verdict::hung))
    take_stacks(report);
  if (conversation) {
    report.subject_stderr = conversation->error_output();
    const auto &heard = conversation->heard();
    report.task_outcomes = heard.outcomes;
    for (auto [task, starts] : heard.starts)
      if (starts > 1)
        ++report.task_outcomes["twice"];
    if (heard.shutdown_called && heard.shutdown_returned)
      report.shutdown_ms = milliseconds_between(*heard.shutdown_called, *heard.shutdown_returned);
  }
  report.total_ms = timeline.now_ms();
  report.timeline = timeline.take();
  return report;
}

} // namespace pidleak::replay

#include "harness/replay/steps.hpp"

#include "harness/os/patience.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/replay/execution.hpp"
#include "harness/replay/final_census.hpp"
#include "harness/replay/stop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace pidleak::replay {

using protocol::Message;
using reports::Report;
using reports::Verdict;

namespace {

/// Besides one task a worker: enough to fill the call queue and leave some outside.
int extra_tasks(const Scenario &scenario) {
  const auto &[steps, conditions] = std::tie(scenario.steps, scenario.conditions);
  if (std::find(steps.begin(), steps.end(), Step::do_tasks) != steps.end())
    return conditions.workers + 4;
  return conditions.queue == CallQueueState::full ? conditions.workers + 16 : 0;
}

/// Some results are larger than a pipe, pipe(7).
std::string order_to_finish(int task) {
  constexpr int large_result = 300'000;
  return task % 3 == 1 ? fmt::format("finish {}", large_result) : "finish";
}

/// Takes the steps of a replay, each a function here, and judges what came of them.
class Steps {
public:
  Steps(const Plan &plan, const Inside &inside, Conversation &conversation, Report &report)
      : plan_(plan), conditions_(plan.scenario.conditions), inside_(inside), conversation_(conversation),
        tree_(tree_of(inside, conversation.subject().pid())), report_(report) {}

  Judged take_all() {
    greet();
    conversation_.wait_for_turn(inside_);
    if (!plan_.is_traced()) {
      for (Step step : plan_.scenario.steps)
        take(step);
      return judge_all();
    }
    wait_until_still(); // it waits for the first command, and begins the first step with what follows
    execution_.emplace(plan_, inside_, conversation_.subject(), spellings<Step>());
    conversation_.end_waits_at_rest(tree_);
    for (Step step : plan_.scenario.steps)
      take_traced(step);
    execution_->report(report_, [this](pid_t pid) { return role_of(pid); });
    return judge_all();
  }

private:
  void take(Step step) {
    switch (step) {
    case Step::create_pool:
      return create_pool();
    case Step::occupy_workers:
      return occupy_workers();
    case Step::do_tasks:
      return do_tasks();
    case Step::fill_queue:
      return fill_queue();
    case Step::inject_fault:
      return inject();
    case Step::shut_down:
      return shut_down();
    case Step::release_tasks:
      return release_tasks();
    case Step::settle:
      return take_census(census_site(), released_, report_);
    case Step::ask_to_stop:
      return ask_to_stop();
    case Step::kill_after_grace:
      return kill_after_grace();
    case Step::start_again: // of servers alone
      return;
    }
  }

  /// Each step begins when nothing moves any more: so a call belongs to the same step in every replay. After the fault
  /// the subject may break off: then what is left of the steps is the shutdown, if it can be asked for one.
  void take_traced(Step step) {
    if (step == Step::settle)
      return settle();
    if (subject_is_gone() || !stuck_in_.empty() || (has_broken_off_ && step != Step::shut_down))
      return;
    execution_->enter(static_cast<std::size_t>(step));
    try {
      take(step);
      if (step == Step::create_pool)
        execution_->names().learn(conversation_.subject().pid(), conversation_.heard().objects);
      wait_until_still();
    } catch (const Stalled &stalled) {
      has_broken_off_ = true;
      if (step != Step::occupy_workers || !conversation_.heard().submitted)
        stuck_in_ = stalled.what;
    } catch (const SubjectFailure &) {
      if (!execution_->is_fault_done())
        throw;
      has_broken_off_ = true;
    }
    if (!conversation_.error().empty())
      end_after_error();
  }

  /// A call that failed may be more than the subject can bear. It leaves then, and that it leaves alone is no defect.
  void end_after_error() {
    if (!execution_->is_fault_done())
      throw SubjectFailure(conversation_.error());
    has_broken_off_ = true;
    stuck_in_.clear();
    if (!conversation_.hear_until_exit(conversation_.subject()))
      throw SubjectFailure(conversation_.error() + ", and did not exit");
  }

  void wait_until_still() { conversation_.hear_until_still(tree_, plan_.shutdown_patience); }

  void settle() {
    execution_->let_go();
    release_tasks();
    if (plan_.point_fault)
      fault_ = InjectedFault{
          .death = {}, .owner_killed = subject_is_gone(), .died_with_lock = execution_->died_with_lock(), .race = {}};
    take_census(census_site(), released_, report_);
    if (subject_is_gone()) {
      stuck_in_.clear(); // it was not stuck: it has ended, maybe since the census
      if (fault_)
        fault_->owner_killed = true;
    }
  }

  /// By what the subject and its workers have said in the course of the replay.
  std::optional<tracing::Role> role_of(pid_t pid) const {
    const auto &heard = conversation_.heard();
    if (pid == conversation_.subject().pid())
      return tracing::Role::owner;
    if (heard.helpers.contains(pid))
      return tracing::Role::helper;
    if (heard.task_of.contains(pid) ||
        std::find(heard.workers.begin(), heard.workers.end(), pid) != heard.workers.end())
      return tracing::Role::worker;
    return {};
  }

  bool subject_is_gone() const { return conversation_.subject().has_exited(); }

  void greet() {
    auto subject = conversation_.subject().pid();
    conversation_.note("subject-started", subject, plan_.pool.program);
    auto hello = conversation_.greet();
    report_.pool_version = hello.text("version");
    conversation_.note("hello", subject,
                       Message::printable(fmt::format("{} {}", hello.text("pool"), report_.pool_version)));
    offers_ = read_offers(hello, conditions_, needs_real_oom(plan_));
  }

  void create_pool() {
    conversation_.send(Message::command("create_pool", {{"preset", plan_.pool.preset},
                                                        {"workers", conditions_.workers},
                                                        {"start_method", spell(conditions_.start_method)},
                                                        {"sigterm", spell(conditions_.sigterm)},
                                                        {"handler_registered", spell(conditions_.handler_registered)},
                                                        {"signal_reset", spell(conditions_.signal_reset)},
                                                        {"terminate", spell(conditions_.terminate)},
                                                        {"queue_slots", spell(conditions_.queue_slots)},
                                                        {"hold_before_count", holds_before_count(conditions_, offers_)},
                                                        {"channel", conversation_.channel().directory()}}));
    conversation_.hear_until([&] { return conversation_.heard().created; }, "create the pool");
  }

  void occupy_workers() {
    workers_ = occupy(plan_, conversation_, tree_);
    report_.evidence.push_back(
        show_sigterm(conditions_, workers_.owners_sigterm, workers_.sigterm, offers_.runtime_handles_sigterm));
    if (conditions_.tasks == Tasks::ended) {
      release_tasks();
      wait_until_still();
    }
  }

  /// One after the other: so each worker does the same tasks in every replay.
  void do_tasks() {
    conversation_.submit(conditions_.workers, extra_tasks(plan_.scenario));
    for (int task = 0; task < all_tasks(plan_.scenario); ++task) {
      conversation_.channel().order(task_gate(task), order_to_finish(task));
      wait_until_still();
    }
    released_ = Clock::now();
    conversation_.note("tasks-released");
  }

  void fill_queue() {
    if (conditions_.queue == CallQueueState::full) {
      conversation_.submit(conditions_.workers, extra_tasks(plan_.scenario));
      auto capacity = conversation_.heard().queue_capacity;
      if (capacity < 1)
        throw SubjectFailure("the subject reports the queue's depth, but not how many slots it has: queue_capacity");
      auto deadline = os::Patience::of(plan_.step_bound);
      Backoff backoff; // its thread moves tasks into the queue on its own time
      // Where there are more slots than tasks, the queue never gets full: the evidence will say so.
      auto wanted = std::min(capacity, extra_tasks(plan_.scenario));
      while (conversation_.ask_queue_depth() < wanted && !deadline.passed())
        conversation_.hear(backoff.next());
    }
    if (offers_.reports_queue_depth)
      depth_before_fault_ = conversation_.ask_queue_depth();
  }

  void inject() {
    if (plan_.is_traced()) // then it comes at its point, or there is none
      return;
    fault_ = inject_fault({.plan = plan_,
                           .inside = inside_,
                           .offers = offers_,
                           .workers = workers_,
                           .conversation = conversation_,
                           .tree = tree_});
    if (fault_ && fault_->race)
      report_.evidence.push_back(*fault_->race);
    if (fault_ && !fault_->owner_killed && has(Step::ask_to_stop)) // the pool goes on meanwhile
      report_.evidence.push_back(show_reaction(have_been_replaced(), was_reaped(fault_->death), {}));
  }

  bool have_been_replaced() const {
    auto members = census::walk_once(tree_.scope());
    const auto &helpers = conversation_.heard().helpers;
    auto workers = std::count_if(members.begin(), members.end(), [&](const auto &member) {
      return member.pid != conversation_.subject().pid() && !helpers.contains(member.pid) &&
             member.state != census::ProcessState::zombie;
    });
    return workers >= conditions_.workers;
  }

  void shut_down() {
    if (owner_is_gone())
      return;
    const auto &heard = conversation_.heard();
    conversation_.send(Message::command("shutdown"));
    conversation_.hear_until([&] { return heard.shutdown_called.has_value(); }, "call shutdown");
    wait_for_shutdown();
  }

  void wait_for_shutdown() {
    const auto &heard = conversation_.heard();
    if (heard.breakage_handled) // whatever it is going to do before the tasks end, it has done
      return;
    // Without a broken pool shutdown waits for the tasks, as it should. Give it time to show otherwise.
    conversation_.hear_until_rest(tree_, plan_.shutdown_patience, [&] { return heard.shutdown_returned.has_value(); });
  }

  void ask_to_stop() {
    stopping_ = ask_owner_to_stop(plan_, conversation_, tree_, report_);
    released_ = Clock::now(); // where they are not released later
    if (stopping_ == Stopping::shuts_down && !has(Step::kill_after_grace))
      wait_for_shutdown();
  }

  void kill_after_grace() {
    auto has_stopped = [this] { return subject_is_gone() || conversation_.heard().shutdown_returned; };
    wait_until_stuck(census_site(), plan_.grace, has_stopped);
    if (!has_stopped())
      kill_owner(plan_, conversation_, report_);
    released_ = Clock::now();
  }

  void release_tasks() {
    released_ = Clock::now();
    if (conditions_.tasks == Tasks::never_end)
      return conversation_.note("tasks-not-released", {}, "they never end");
    for (int task = 0; task < all_tasks(plan_.scenario); ++task)
      conversation_.channel().order(task_gate(task), "finish");
    conversation_.note("tasks-released");
  }

  Judged judge_all() {
    show_rest_of_evidence();
    const auto &heard = conversation_.heard();
    if (stopping_ == Stopping::exits && !subject_is_gone())
      stuck_in_ = "end after SIGTERM";
    auto judged = judge(plan_.scenario, report_,
                        {.called = heard.shutdown_called.has_value(),
                         .returned = heard.shutdown_returned.has_value(),
                         .owner_is_gone = owner_is_gone(),
                         .stuck_in = stuck_in_,
                         .management_thread_exception = heard.management_thread_exception});
    if (judged.verdict != Verdict::clean)
      return judged;
    if (owner_is_gone()) {
      report_.nothing_left_below = os::reap_exited_children();
    } else {
      conversation_.end_subject();
      take_census_after_subject(census_site(), report_);
    }
    return judge_after_subject(report_);
  }

  /// What the pool may have told only later: how full its queue was, and how the victim ended.
  void show_rest_of_evidence() {
    const auto &heard = conversation_.heard();
    if (auto depth = heard.queue_depth_at_break ? heard.queue_depth_at_break : depth_before_fault_)
      report_.evidence.push_back(
          show_queue(conditions_, *depth, heard.queue_capacity, heard.queue_depth_at_break.has_value()));
    if (!fault_ || plan_.point_fault)
      return;
    if (auto told = heard.exits.find(fault_->death.victim); told != heard.exits.end())
      fault_->death.status_told = told->second;
    report_.evidence.push_back(show_death(conditions_, fault_->death));
  }

  bool owner_is_gone() const { return (fault_ && fault_->owner_killed) || (stopping_ && subject_is_gone()); }
  bool has(Step step) const {
    const auto &steps = plan_.scenario.steps;
    return std::find(steps.begin(), steps.end(), step) != steps.end();
  }

  CensusSite census_site() {
    return {.plan = plan_,
            .offers = offers_,
            .workers = workers_,
            .fault = fault_,
            .stopping = stopping_,
            .conversation = conversation_,
            .tree = tree_};
  }

  const Plan &plan_;
  const Conditions &conditions_;
  const Inside &inside_;
  Conversation &conversation_;
  census::Tree tree_;
  Report &report_;
  // What each step leaves for those after it, in their order.
  Offers offers_;
  OccupiedWorkers workers_;
  std::optional<int> depth_before_fault_;
  std::optional<InjectedFault> fault_;
  std::optional<Stopping> stopping_;
  Clock::time_point released_;
  // Of a replay that is traced.
  std::optional<Execution> execution_;
  bool has_broken_off_ = false; // what is left is to shut down
  std::string stuck_in_;        // what the subject was told to do and never did; empty: nothing
};

} // namespace

int all_tasks(const Scenario &scenario) { return scenario.conditions.workers + extra_tasks(scenario); }

Judged take_steps(const Plan &plan, const Inside &inside, Conversation &conversation, Report &report) {
  return Steps(plan, inside, conversation, report).take_all();
}

} // namespace pidleak::replay

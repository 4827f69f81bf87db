#include "harness/replay/driver.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/census/stacks.hpp"
#include "harness/census/tree.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/channel.hpp"
#include "harness/replay/evidence.hpp"
#include "harness/replay/faults.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/offers.hpp"
#include "harness/replay/subject.hpp"
#include "harness/replay/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <memory>

namespace pidleak::replay {

using protocol::Message;
using reports::Report;
using reports::Verdict;

namespace {

class Driver {
public:
  Driver(const Plan &plan, const Inside &inside)
      : plan_(plan), conditions_(plan.scenario.conditions), inside_(inside),
        channel_(inside.scratch, tasks(), {"before-count", "holding-queue-lock", "half-result"}) {
    report_.tier = inside.tier;
    report_.tier_notes = inside.notes;
  }

  Report run() {
    try {
      check_requirements();
      subject_ = std::make_unique<Subject>(plan_.pool.program, plan_.pool.arguments, channel_, inside_.lifeline);
      tree_.emplace(tree_of(inside_, subject_->process().pid()));
      greet();
      for (Step step : plan_.scenario.steps)
        take(step);
      conclude(judge_all());
    } catch (const Judged &end) {
      conclude(end);
    } catch (const protocol::ProtocolError &e) {
      conclude({Verdict::broken, std::string("the subject does not speak the protocol: ") + e.what()});
    } catch (const std::exception &e) { // SubjectFailure among them
      conclude({Verdict::broken, e.what()});
    }
    if (plan_.take_stacks && (report_.verdict == Verdict::leaked || report_.verdict == Verdict::hung))
      take_stacks();
    if (subject_)
      report_.subject_stderr = subject_->error_output();
    if (heard_.shutdown_called && heard_.shutdown_returned)
      report_.shutdown_ms = milliseconds_between(*heard_.shutdown_called, *heard_.shutdown_returned);
    report_.total_ms = timeline_.now_ms();
    report_.timeline = timeline_.take();
    return std::move(report_);
  }

private:
  void take_stacks() {
    for (auto &process : report_.remaining)
      census::take_stacks(process);
    if (report_.owner)
      census::take_stacks(*report_.owner);
  }

  void conclude(const Judged &judged) {
    report_.verdict = judged.verdict;
    report_.reason = judged.reason;
  }

  // --- the conversation ------------------------------------------------------------------------------------------

  void note(const std::string &event, std::optional<pid_t> pid = {}, const std::string &detail = "") {
    timeline_.note(event, pid, detail);
  }

  /// Takes in one event, if one comes within the time.
  bool hear(std::chrono::microseconds at_most, const std::vector<int> &exits = {}) {
    auto event = subject_->next(at_most, exits);
    if (event)
      heard_.absorb(*event, timeline_);
    return event.has_value();
  }

  /// Hears events until `done`. False if that has not come within the step's bound.
  template <class Done>
  bool hear_within_bound(Done done) {
    auto deadline = Deadline::after(plan_.step_bound);
    while (!done() && !deadline.passed())
      hear(milliseconds(deadline.left_ms()));
    return done();
  }

  /// `what` completes "the subject did not ... within N ms".
  template <class Done>
  void hear_until(Done done, const std::string &what) {
    try {
      if (!hear_within_bound(done))
        throw SubjectFailure(fmt::format("the subject did not {} within {} ms{}", what, plan_.step_bound.count(),
                                         is_stopped() ? ": it is stopped" : ""));
    } catch (const SubjectFailure &e) {
      if (!subject_->process().has_exited())
        throw;
      throw SubjectFailure(fmt::format("{}, and was to {}", e.what(), what));
    }
  }

  bool is_stopped() const {
    auto stat = os::read_stat(subject_->process().pid());
    return stat && stat->state == 'T';
  }

  /// Hears events until `done`, or nothing in the replay moves any more, or the time is over.
  template <class Done>
  void hear_until_rest(Done done, milliseconds bound) {
    auto deadline = Deadline::after(bound);
    Backoff backoff(std::chrono::milliseconds(1));
    while (!done() && !deadline.passed())
      if (!hear(backoff.next()) && tree_->at_rest() && !hear(std::chrono::microseconds(0)))
        return;
  }

  /// Hears events until the process has exited. False if it has not within the step's bound.
  bool hear_until_exit(const os::ProcessRef &process) {
    auto deadline = Deadline::after(plan_.step_bound);
    while (!process.has_exited() && !deadline.passed())
      hear(milliseconds(deadline.left_ms()), {process.pidfd()});
    return process.has_exited();
  }

  // --- the steps -------------------------------------------------------------------------------------------------

  /// Besides one task a worker: enough to fill the call queue and leave some outside.
  int extra_tasks() const { return conditions_.queue == CallQueueState::full ? conditions_.workers + 16 : 0; }
  int tasks() const { return conditions_.workers + extra_tasks(); }

  bool needs_real_oom() const { return conditions_.death == Death::oom && plan_.oom == OomMode::real; }

  void check_requirements() {
    if (!plan_.pool.lacks.empty())
      throw Judged{Verdict::skipped, plan_.pool.lacks};
    if (needs_real_oom() && inside_.memory_cgroup.empty())
      throw Judged{Verdict::skipped, "no memory cgroup for a real OOM kill: " + inside_.memory_lacks +
                                         "; --oom=sigkill uses a plain SIGKILL instead"};
  }

  void greet() {
    note("subject-started", subject_->process().pid(), plan_.pool.program);
    std::optional<Message> hello;
    auto deadline = Deadline::after(plan_.step_bound);
    while (!hello && !deadline.passed())
      hello = subject_->next(milliseconds(deadline.left_ms()));
    if (!hello)
      throw SubjectFailure(fmt::format("the subject did not say hello within {} ms", plan_.step_bound.count()));
    if (hello->name() != "hello")
      throw SubjectFailure("the subject's first message is not hello but " + Message::printable(hello->name()));
    heard_.absorb(*hello, timeline_);
    if (hello->integer("protocol") != protocol::version)
      throw SubjectFailure(fmt::format("the subject speaks version {} of the protocol, this program version {}",
                                       hello->integer("protocol"), protocol::version));
    report_.pool_version = hello->text("version");
    note("hello", subject_->process().pid(),
         Message::printable(fmt::format("{} {}", hello->text("pool"), report_.pool_version)));
    offers_ = read_offers(*hello, conditions_, needs_real_oom());
  }

  void take(Step step) {
    switch (step) {
    case Step::create_pool:
      return create_pool();
    case Step::occupy_workers:
      return occupy_workers();
    case Step::fill_queue:
      return fill_queue();
    case Step::inject_death:
      return inject_death();
    case Step::shut_down:
      return shut_down();
    case Step::release_tasks:
      return release_tasks();
    case Step::settle:
      return settle();
    }
  }

  void create_pool() {
    holding_before_count_ =
        conditions_.race == Race::exit_first && conditions_.death != Death::none && offers_.holds_before_count;
    subject_->send(Message::command("create_pool", {{"preset", plan_.pool.preset},
                                                    {"workers", conditions_.workers},
                                                    {"start_method", spell(conditions_.start_method)},
                                                    {"sigterm", spell(conditions_.sigterm)},
                                                    {"handler_registered", spell(conditions_.handler_registered)},
                                                    {"signal_reset", spell(conditions_.signal_reset)},
                                                    {"terminate", spell(conditions_.terminate)},
                                                    {"queue_slots", spell(conditions_.queue_slots)},
                                                    {"hold_before_count", holding_before_count_},
                                                    {"channel", channel_.directory()}}));
    hear_until([&] { return heard_.created; }, "create the pool");
  }

  void submit(int first, int count) {
    heard_.submitted = false;
    subject_->send(Message::command("submit", {{"first_task", first}, {"count", count}}));
    hear_until([&] { return heard_.submitted; }, "accept the tasks");
  }

  void occupy_workers() {
    submit(0, conditions_.workers);
    std::set<pid_t> known;
    auto in_task = [&] {
      for (const auto &[pid, task] : heard_.task_of)
        if (known.insert(pid).second)
          check_worker(pid, task);
      return heard_.task_of.size();
    };
    if (!hear_within_bound([&] { return std::cmp_greater_equal(in_task(), conditions_.workers); }))
      throw SubjectFailure(fmt::format("{} tasks were submitted, and {} processes have said within {} ms that they are "
                                       "in one",
                                       conditions_.workers, in_task(), plan_.step_bound.count()));
    hold_workers();
    check_gates();
    record_sigterm();
    if (conditions_.tasks == Tasks::ended) {
      release_tasks();
      hear_until_rest([] { return false; }, plan_.shutdown_patience);
    }
  }

  [[noreturn]] static void refuse_stranger(pid_t pid) {
    throw SubjectFailure(fmt::format("the subject reports a worker with pid {}, but has no such descendant", pid));
  }

  void check_worker(pid_t pid, long long task) const {
    if (pid == subject_->process().pid())
      throw SubjectFailure(fmt::format("the subject (pid {}) runs a task itself: workers are processes", pid));
    if (tree_->first_stranger({pid}))
      refuse_stranger(pid);
    if (task < 0 || task >= conditions_.workers)
      throw SubjectFailure(fmt::format("worker {} says that it is in task {}; 0 to {} were submitted", pid, task,
                                       conditions_.workers - 1));
  }

  /// A worker is whoever has reported from a task: many pools start theirs only when there is one. In the order in
  /// which the pool lists them, where it does.
  void hold_workers() {
    auto order = heard_.workers;
    for (const auto &[pid, task] : heard_.task_of)
      if (std::find(order.begin(), order.end(), pid) == order.end())
        order.push_back(pid);
    for (pid_t pid : order) {
      auto worker = os::ProcessRef::open(pid);
      if (!worker)
        refuse_stranger(pid);
      workers_.push_back(std::move(*worker));
    }
    if (auto stranger = tree_->first_stranger(order))
      refuse_stranger(*stranger);
  }

  /// That a worker is in its task, and stays there until the driver opens its gate, is more than a word of its own.
  void check_gates() {
    for (const auto &[pid, task] : heard_.task_of) {
      auto gate = fmt::format("{}/{}", channel_.directory(), task_gate(task));
      auto waits = [&gate, worker = pid] {
        auto fds = os::read_fds(worker);
        return !fds || std::any_of(fds->begin(), fds->end(), [&](const auto &fd) { return fd.target == gate; });
      };
      auto deadline = Deadline::after(plan_.step_bound);
      for (Backoff backoff; !waits(); hear(backoff.next()))
        if (deadline.passed())
          throw SubjectFailure(fmt::format("worker {} says that it is in task {}, and has not opened {} within {} ms",
                                           pid, task, task_gate(task), plan_.step_bound.count()));
    }
  }

  void record_sigterm() {
    auto of = [](const os::ProcessRef &process) {
      auto status = os::read_status(process.pid());
      return status ? spell(os::action_of(*status, SIGTERM)) : "unknown";
    };
    for (const auto &worker : workers_)
      worker_sigterm_[worker.pid()] = of(worker);
    auto in_subject = of(subject_->process());
    owner_catches_ = in_subject == "handler";
    report_.evidence.push_back(show_sigterm(conditions_, in_subject, worker_sigterm_, offers_.runtime_handles_sigterm));
  }

  int ask_queue_depth() {
    heard_.queue_depth.reset();
    subject_->send(Message::command("queue_depth"));
    hear_until([&] { return heard_.queue_depth.has_value(); }, "say how full its call queue is");
    return *heard_.queue_depth;
  }

  void fill_queue() {
    if (conditions_.queue == CallQueueState::full) {
      submit(conditions_.workers, extra_tasks());
      if (heard_.queue_capacity < 1)
        throw SubjectFailure("the subject reports the queue's depth, but not how many slots it has: queue_capacity");
      auto deadline = Deadline::after(plan_.step_bound);
      Backoff backoff; // its thread moves tasks into the queue on its own time
      // Where there are more slots than tasks, the queue never gets full: the evidence will say so.
      auto wanted = std::min(heard_.queue_capacity, extra_tasks());
      while (ask_queue_depth() < wanted && !deadline.passed())
        hear(backoff.next());
    }
    if (offers_.reports_queue_depth)
      depth_before_fault_ = ask_queue_depth();
  }

  void inject_death() {
    if (conditions_.death == Death::none)
      return;
    if (conditions_.victim == Victim::owner)
      return kill_owner();
    victim_ = &workers_.back(); // the one started last: a pool that joins in order then blocks on another first
    auto gate = bring_victim_to_its_point();
    if (conditions_.race == Race::count_first)
      slow_down_exits();
    kill_victim([&](int mebibytes) { channel_.order(gate, fmt::format("allocate {}", mebibytes)); });
    wait_for_reaction();
    bool held = slow_exits_ && slow_exits_->still_held() && has_reacted_as_it_says();
    report_.evidence.push_back(show_race(conditions_, holding_before_count_, held));
    slow_exits_.reset();
  }

  /// Returns the gate at which it is held.
  std::string bring_victim_to_its_point() {
    auto gate = task_gate(heard_.task_of.at(victim_->pid()));
    if (conditions_.death_point == DeathPoint::in_task)
      return gate;
    auto point = spell(conditions_.death_point);
    channel_.choose(point, victim_->pid());
    channel_.order(gate, "finish");
    hear_until([&] { return heard_.held.contains({point, victim_->pid()}); }, "come to the point " + point);
    return "gate-" + point;
  }

  /// As a service in a Pod ends: nobody is left who could shut the pool down.
  void kill_owner() {
    victim_ = &subject_->process();
    subject_->expect_exit();
    kill_victim([&](int mebibytes) { subject_->send(Message::command("allocate", {{"mebibytes", mebibytes}})); });
    owner_killed_ = death_.exited;
  }

  void slow_down_exits() {
    std::vector<const os::ProcessRef *> survivors;
    for (const auto &worker : workers_)
      if (&worker != victim_)
        survivors.push_back(&worker);
    slow_exits_ = std::make_unique<SlowExits>(*victim_, survivors, Deadline::after(plan_.step_bound));
    note("exits-slowed-down", victim_->pid(), "the victim is traced, the other workers are stopped");
  }

  /// `tell`: has the victim allocate so many MiB.
  void kill_victim(const std::function<void(int mebibytes)> &tell) {
    std::optional<OomTrap> trap;
    std::uint64_t kills_before = 0;
    if (needs_real_oom()) {
      trap.emplace(inside_.memory_cgroup, inside_.memory_version);
      kills_before = trap->kills();
      trap->close_on(*victim_);
      note("fault", victim_->pid(),
           fmt::format("told to allocate {} MiB in a memory cgroup of {} MiB", OomTrap::allocation_mib,
                       OomTrap::limit_mib));
      tell(OomTrap::allocation_mib);
    } else {
      note("fault", victim_->pid(), "SIGKILL");
      death_.kill_delivered = !victim_->has_exited() && victim_->send(SIGKILL);
    }
    death_.victim = victim_->pid();
    death_.exited = hear_until_exit(*victim_) && !heard_.survived_allocation;
    if (death_.exited)
      death_.status = victim_->exit_status();
    if (trap)
      death_.oom_kills = trap->kills() - kills_before;
    note("exited", victim_->pid(), death_.status ? death_.status->text() : death_.exited ? "" : "it did not");
  }

  /// The pool has noticed, and done all that it does before it waits for its workers.
  void wait_for_reaction() {
    if (holding_before_count_)
      order_exits_before_count();
    // A pool that never reacts, or does not say so, is no failure of the replay: shutdown is called all the same.
    hear_until_rest([&] { return heard_.breakage_handled || heard_.management_thread_ended; },
                    offers_.reports_breakage ? plan_.step_bound : plan_.shutdown_patience);
    // A victim that is traced shows its end to a pidfd or a pipe, and to no wait of its parent's.
    if (!has_reacted_as_it_says() && !slow_exits_ && conditions_.death_point == DeathPoint::in_task)
      note("mistake", {}, "hello: reports_breakage is true, and breakage_handled was not sent");
  }

  bool has_reacted_as_it_says() const {
    return !offers_.reports_breakage || heard_.breakage_handled || heard_.management_thread_ended;
  }

  /// Its terminated workers die first, as far as SIGTERM ends them at all; then it may count those that live.
  void order_exits_before_count() {
    auto held = [&] { return heard_.held.contains({"before-count", subject_->process().pid()}); };
    hear_until_rest([&] { return held() || heard_.breakage_handled; }, plan_.step_bound);
    if (!held())
      return; // this behaviour does not count
    for (const auto &worker : workers_)
      if (&worker == victim_ || worker_sigterm_[worker.pid()] == "default" ||
          conditions_.terminate == Terminate::sigkill)
        hear_until_exit(worker);
    channel_.order("gate-before-count", "finish");
  }

  void shut_down() {
    if (owner_killed_)
      return;
    subject_->send(Message::command("shutdown"));
    hear_until([&] { return heard_.shutdown_called.has_value(); }, "call shutdown");
    if (heard_.breakage_handled) // whatever it is going to do before the tasks end, it has done
      return;
    // Without a broken pool shutdown waits for the tasks, as it should. Give it time to show otherwise.
    hear_until_rest([&] { return heard_.shutdown_returned.has_value(); }, plan_.shutdown_patience);
  }

  void release_tasks() {
    released_ = Clock::now();
    if (conditions_.tasks == Tasks::never_end)
      return note("tasks-not-released", {}, "they never end");
    for (int task = 0; task < tasks(); ++task)
      channel_.order(task_gate(task), "finish");
    note("tasks-released");
  }

  // --- the census and the verdict ---------------------------------------------------------------------------------

  census::Settled settle_until(const std::function<bool()> &done, const std::map<pid_t, std::string> &may_stay) {
    auto stays = [&](pid_t pid) { return pid == subject_->process().pid() || may_stay.contains(pid); };
    auto deadline = Deadline::after(plan_.settle_bound + offers_.longest_timer);
    return census::settle({.see = [&] { return tree_->see(stays); },
                           .rest = [&](const auto &walk) { return tree_->rest(walk); },
                           .wait = [&](auto at_most, const auto &exits) { return hear(at_most, exits); },
                           .done = done,
                           .is_over = [&] { return deadline.passed(); }});
  }

  void keep_remaining(const census::Walk &walk) {
    report_.remaining = tree_->examine(walk, heard_.helpers);
    report_.owner = tree_->examine_subject(walk);
    census::diagnose(report_.remaining, report_.owner ? &*report_.owner : nullptr, knowledge());
    for (const auto &process : report_.remaining)
      note("remains", process.pid, spell(process.kind));
  }

  /// What a diagnosis can't read from the kernel.
  census::Knowledge knowledge() const {
    census::Knowledge known{.harness = ::getpid(),
                            .sent_sigterm = heard_.sent_sigterm,
                            .inherit_handlers = owner_catches_ && conditions_.start_method == StartMethod::fork};
    for (const auto &[pid, action] : worker_sigterm_)
      if (action == "handler")
        known.caught_from_the_start.insert(pid);
    if (conditions_.tasks == Tasks::never_end)
      for (const auto &[pid, task] : heard_.task_of)
        known.in_task.emplace(pid, std::to_string(task));
    for (const auto &process : report_.remaining)
      if (auto ended = os::ProcessRef::open(process.pid); ended && process.state == census::ProcessState::zombie)
        if (auto status = ended->exit_status())
          known.ends.emplace(process.pid, status->text());
    if (death_.exited && conditions_.death_point == DeathPoint::holding_queue_lock)
      known.died_with_lock = death_.victim;
    return known;
  }

  void settle() {
    auto may_stay = owner_killed_ ? std::map<pid_t, std::string>() : heard_.helpers; // nobody to help any more
    auto settled = settle_until([&] { return heard_.shutdown_returned || !heard_.shutdown_called; }, may_stay);
    report_.settle_ms = milliseconds_between(released_, Clock::now());
    report_.settled_by = settled.by;
    report_.not_quiescent_because = settled.why_not_quiescent;
    report_.census_complete = settled.walk.complete;
    report_.cgroup_agrees = tree_->agrees_with_cgroup(settled.walk);
    keep_remaining(settled.walk);
    reports::count_remaining(report_);
  }

  Judged judge_all() {
    show_rest_of_evidence();
    auto judged = judge(plan_.scenario, report_,
                        {.called = heard_.shutdown_called.has_value(),
                         .returned = heard_.shutdown_returned.has_value(),
                         .owner_killed = owner_killed_,
                         .management_thread_exception = heard_.management_thread_exception});
    if (judged.verdict != Verdict::clean)
      return judged;
    if (owner_killed_)
      report_.nothing_left_below = os::reap_exited_children();
    else
      end_subject();
    return judge_after_subject(report_);
  }

  /// What the pool may have told only later: how full its queue was, and how the victim ended.
  void show_rest_of_evidence() {
    if (auto depth = heard_.queue_depth_at_break ? heard_.queue_depth_at_break : depth_before_fault_)
      report_.evidence.push_back(
          show_queue(conditions_, *depth, heard_.queue_capacity, heard_.queue_depth_at_break.has_value()));
    if (!victim_)
      return;
    if (auto told = heard_.exits.find(victim_->pid()); told != heard_.exits.end())
      death_.status_told = told->second;
    report_.evidence.push_back(show_death(conditions_, death_));
  }

  /// Helpers may live as long as the subject, and nobody longer: waitid says ECHILD in the end.
  void end_subject() {
    subject_->expect_exit();
    subject_->send(Message::command("exit"));
    if (!hear_until_exit(subject_->process()))
      throw SubjectFailure("the subject did not exit when it was told to");
    note("exited", subject_->process().pid(), "the subject");
    auto settled = settle_until([] { return true; }, {});
    report_.nothing_left_below = os::reap_exited_children();
    keep_remaining(settled.walk);
  }

  const Plan &plan_;
  const Conditions &conditions_;
  const Inside &inside_;
  Timeline timeline_;
  Clock::time_point released_;
  Channel channel_;
  std::unique_ptr<Subject> subject_;
  std::optional<census::Tree> tree_;
  Heard heard_;
  std::vector<os::ProcessRef> workers_;
  const os::ProcessRef *victim_ = nullptr;
  std::map<pid_t, std::string> worker_sigterm_; // before the fault
  std::unique_ptr<SlowExits> slow_exits_;
  std::optional<int> depth_before_fault_;
  Offers offers_;
  bool holding_before_count_ = false;
  bool owner_killed_ = false, owner_catches_ = false;
  DeathFacts death_;
  Report report_;
};

} // namespace

Report drive(const Plan &plan, const Inside &inside) { return Driver(plan, inside).run(); }

} // namespace pidleak::replay

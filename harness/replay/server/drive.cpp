#include "harness/replay/server/drive.hpp"

#include "harness/census/live_genealogy.hpp"
#include "harness/os/patience.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/replay/evidence.hpp"
#include "harness/replay/faults.hpp"
#include "harness/replay/leftovers.hpp"
#include "harness/replay/server/facts.hpp"
#include "harness/replay/server/judge.hpp"
#include "harness/replay/server/requirements.hpp"
#include "harness/replay/subject.hpp"
#include "reports/census_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>

namespace pidleak::replay {

using reports::Report;
using reports::Verdict;

namespace {

constexpr milliseconds margin{3000};            // a timer that is due, on a busy machine
constexpr milliseconds release_patience{10000}; // how long a stop may take before the busy request is released
constexpr milliseconds reaction_bound{10000};   // for a new worker in place of one that died
constexpr milliseconds restart_delay{1000};     // of what starts a service again

class ServerReplay {
public:
  ServerReplay(const Plan &plan, const Inside &inside)
      : plan_(plan), conditions_(plan.scenario.conditions), description_(*plan.pool.server), inside_(inside),
        timeline_(inside.since) {
    report_.tier = inside.tier;
    report_.tier_notes = inside.notes;
  }

  Report run() {
    auto judged = judge_what_happens();
    report_.verdict = judged.verdict;
    report_.reason = judged.reason;
    if (server_)
      report_.subject_stderr = server_->output();
    if (genealogy_)
      reports::record_genealogy(report_, genealogy_->now());
    report_.total_ms = timeline_.now_ms();
    report_.timeline = timeline_.take();
    return std::move(report_);
  }

private:
  Judged judge_what_happens() {
    try {
      if (auto why = why_skipped(plan_, inside_); !why.empty())
        return {Verdict::skipped, why};
      server_.emplace(plan_, inside_, timeline_);
      for (Step step : plan_.scenario.steps)
        take(step);
      return judge_server(report_, facts());
    } catch (const Judged &end) {
      return end;
    } catch (const std::exception &e) {
      return {Verdict::broken, e.what()};
    }
  }

  bool is_busy() const { return conditions_.tasks != Tasks::ended; }
  /// The request ends when the driver lets it.
  bool will_release() const {
    return conditions_.tasks == Tasks::finish && has(Step::release_tasks) && description_.busy_by != BusyBy::itself;
  }
  bool has(Step step) const {
    const auto &steps = plan_.scenario.steps;
    return std::find(steps.begin(), steps.end(), step) != steps.end();
  }

  void take(Step step) {
    switch (step) {
    case Step::create_pool:
      return start();
    case Step::occupy_workers:
      return occupy();
    case Step::inject_fault:
      return inject();
    case Step::ask_to_stop:
      return ask_to_stop();
    case Step::kill_after_grace:
      return kill_after_grace();
    case Step::start_again:
      return start_again();
    case Step::release_tasks:
      return release();
    case Step::settle:
      return take_census();
    case Step::do_tasks: // of pools alone
    case Step::fill_queue:
    case Step::shut_down:
      return;
    }
  }

  ServerFacts facts() const {
    ServerFacts facts{.stop = description_.stop,
                      .was_asked = was_asked_,
                      .ended_after_ms = ended_after_ms_,
                      .since = since_,
                      .is_up_again = {},
                      .why_not_up = {}};
    if (has(Step::start_again)) {
      facts.is_up_again = is_up_again_;
      facts.why_not_up = server_->why();
    }
    return facts;
  }

  // --- the steps -----------------------------------------------------------------------------------------------------

  void start() {
    auto since = Clock::now();
    genealogy_.emplace();
    leftovers_.emplace(inside_, std::vector{server_->directory()});
    server_->start();
    genealogy_->begin(server_->master().pid(), server_->command_line(), since);
    if (!server_->wait_until_ready())
      throw Judged{Verdict::broken, server_->why()};
    server_->hold_processes();
    report_.workers = static_cast<int>(server_->held().size()) - 1;
    if (server_->is_in_background())
      timeline_.note("mistake", server_->master().pid(),
                     "the command went into the background: it has exited, and this process goes on as the master. In "
                     "a container that is its end: run it in the foreground (gunicorn without --daemon, nginx -g "
                     "'daemon off;', php-fpm -F, apache2 -DFOREGROUND, redis-server --daemonize no)");
    if (report_.workers == 0 && conditions_.death != Death::none)
      throw Judged{Verdict::invalid,
                   fmt::format("it has no workers, so none can be lost: the census sees no process below pid {} "
                               "({}). If it starts them later, say how many to wait for: --workers N, or "
                               "\"ready\": {{\"children\": N}}",
                               server_->master().pid(), description_.command.front())};
    if (conditions_.sigterm != Sigterm::default_)
      report_.evidence.push_back(show_sigterm_at_start(conditions_.sigterm, *server_));
  }

  void occupy() {
    if (!is_busy())
      return;
    const auto &path = conditions_.death == Death::oom ? description_.allocate : description_.busy; // or empty: always
    auto pid = server_->make_busy(path);
    if (!pid)
      throw Judged{Verdict::broken, server_->why()};
    busy_ = os::ProcessRef::open(*pid);
    if (!busy_)
      throw Judged{Verdict::broken, "the busy worker has gone"};
    server_->hold_processes(); // some have a process for each client
  }

  void inject() {
    if (conditions_.victim == Victim::owner)
      return kill_master();
    auto victim = find_victim();
    DeathFacts facts{.victim = victim.pid()};
    since_ = "the worker's death";
    if (needs_real_oom(plan_)) {
      OomTrap trap(inside_.memory_cgroup, inside_.memory_version);
      auto kills_before = trap.kills();
      trap.close_on(victim);
      note_fault(victim, "told to allocate in a memory cgroup of its own");
      server_->release();
      wait_for_exit(victim, facts);
      facts.oom_kills = trap.kills() - kills_before;
    } else {
      note_fault(victim, "SIGKILL");
      facts.kill_delivered = victim.send(SIGKILL);
      wait_for_exit(victim, facts);
    }
    report_.evidence.push_back(show_death(conditions_, facts));
    watch_reaction(victim);
  }

  os::ProcessRef find_victim() {
    auto workers = server_->workers();
    auto pid = busy_ ? busy_->pid() : workers.empty() ? 0 : workers.back(); // the one started last
    auto victim = pid > 0 ? os::ProcessRef::open(pid) : std::nullopt;
    if (!victim)
      throw Judged{Verdict::broken, "a worker left by itself"};
    return std::move(*victim);
  }

  void note_fault(const os::ProcessRef &victim, const std::string &what) {
    timeline_.note("fault", victim.pid(), what);
    since_ms_ = timeline_.now_ms();
  }

  void wait_for_exit(const os::ProcessRef &process, DeathFacts &facts) {
    auto deadline = os::Patience::of(plan_.step_bound);
    while (!process.has_exited() && !deadline.passed())
      server_->wait(milliseconds(deadline.left_ms()), {process.pidfd()});
    facts.exited = process.has_exited();
    facts.status = process.exit_status();
  }

  void kill_master() {
    DeathFacts facts{.victim = server_->master().pid()};
    auto master = os::ProcessRef::open(facts.victim);
    note_fault(*master, "SIGKILL");
    facts.kill_delivered = master->send(SIGKILL);
    wait_for_exit(*master, facts);
    report_.evidence.push_back(show_death(conditions_, facts));
    since_ = "the master's death";
    if (will_release())
      look_before_release(longest_wait());
  }

  /// Whether another worker came in its place, and what became of the dead one.
  void watch_reaction(const os::ProcessRef &victim) {
    auto deadline = Deadline::after(std::max(reaction_bound, longest_wait()));
    auto at = Clock::now();
    Backoff backoff;
    bool replaced = false, reaped = false;
    while (!(replaced && reaped) && !deadline.passed() && !server_->master().has_exited()) {
      server_->wait(backoff.next(), {server_->master().pidfd()});
      replaced = std::cmp_greater_equal(server_->workers().size(), report_.workers);
      auto stat = os::read_stat(victim.pid());
      reaped = !stat || stat->start_ticks != victim.start_ticks();
      if (!replaced && server_->tree().at_rest()) // it does not care
        break;
    }
    auto reaction = show_reaction(replaced, reaped, milliseconds_between(at, Clock::now()) / 1000);
    if (server_->master().has_exited())
      reaction.text = "the master has ended with it";
    report_.evidence.push_back(std::move(reaction));
    os::reap_exited_children(); // orphans, which are no zombies of the server's
    if (replaced && !server_->master().has_exited())
      server_->wait_until_ready_again(); // a stop that comes while the new one starts is another matter
    server_->hold_processes();
  }

  void ask_to_stop() {
    if (server_->master().has_exited())
      return;
    timeline_.note("signal-sent", server_->master().pid(), os::signal_name(description_.stop));
    since_ms_ = timeline_.now_ms();
    since_ = os::signal_name(description_.stop);
    server_->master().send(description_.stop);
    was_asked_ = true;
    if (will_release())
      look_before_release(release_patience);
  }

  /// As the kubelet does it: KILL of PID 1 alone, once the grace is over.
  void kill_after_grace() {
    server_->settle(plan_.grace);
    if (server_->master().has_exited())
      return;
    timeline_.note("fault", server_->master().pid(), "SIGKILL, the grace is over");
    auto master = os::ProcessRef::open(server_->master().pid());
    master->send(SIGKILL);
    DeathFacts facts{.victim = master->pid()};
    wait_for_exit(*master, facts);
    since_ms_ = timeline_.now_ms();
    since_ = "the master's SIGKILL";
    was_asked_ = false;
    report_.evidence.push_back(
        {.condition = "grace",
         .shown = true,
         .text = fmt::format("the master does not end within the grace of {} s after {}, and got SIGKILL",
                             plan_.grace.count() / 1000, os::signal_name(description_.stop)),
         .facts = {}});
  }

  /// Who is still there while the request waits: they wait for it, or for ever.
  void look_before_release(milliseconds bound) {
    auto settled = server_->settle(bound);
    none_waits_ = settled.by == census::SettledBy::all_gone;
    report_.evidence.push_back(show_held_up(*server_, settled.walk, (timeline_.now_ms() - since_ms_) / 1000, since_));
  }

  void release() {
    if (!will_release() || none_waits_)
      return;
    report_.evidence.push_back(show_leaving(*server_, since_ms_, since_));
    since_ms_ = timeline_.now_ms();
    since_ = "the request's release";
    server_->release();
  }

  /// The same command once more, as what supervises it does.
  void start_again() {
    server_->settle(restart_delay);
    server_->start();
    is_up_again_ = server_->wait_until_ready();
    auto from_before = server_->from_before();
    report_.evidence.push_back(
        {.condition = "started-again",
         .shown = true,
         .text = is_up_again_ ? std::string("it came up again") : "it did not come up again: " + server_->why(),
         .facts = {{"up", is_up_again_ ? "yes" : "no"},
                   {"from before", fmt::format("{}", fmt::join(from_before, " "))}}});
    take_census_of(from_before);
  }

  /// Of those from before alone: what was started again may stay.
  void take_census_of(const std::vector<pid_t> &from_before) {
    auto walk = census::walk(server_->tree().scope(), Deadline::after(milliseconds(200)));
    std::erase_if(walk.members, [&](const auto &m) {
      return std::find(from_before.begin(), from_before.end(), m.pid) == from_before.end();
    });
    record(walk);
    report_.owner.reset();
    report_.census_complete = walk.complete;
    ask_who_serves();
  }

  milliseconds longest_wait() const {
    return std::max(description_.longest_timer.value_or(plan_.grace), milliseconds(2000)) + margin;
  }

  void take_census() {
    // Some servers give up by themselves just when a Pod's grace is over: that is no hang.
    auto bound = was_asked_ ? plan_.grace + margin : longest_wait();
    auto since = Clock::now();
    auto settled = server_->settle(bound);
    ended_after_ms_ = timeline_.now_ms() - since_ms_;
    if (settled.by == census::SettledBy::all_gone) {
      ended_after_ms_ = 0;
      for (const auto &one : server_->held())
        ended_after_ms_ = std::max(ended_after_ms_, one.left_at_ms.value_or(0) - since_ms_);
    }
    reports::record_settled(report_, settled, since);
    agree_with_cgroup(settled);
    record(settled.walk);
    if (since_ms_ > 0)
      report_.evidence.push_back(show_leaving(*server_, since_ms_, since_));
    if (conditions_.victim == Victim::owner && conditions_.death != Death::none && !is_busy())
      if (auto notice = show_notice(*server_))
        report_.evidence.push_back(*notice);
    if (const auto *request = server_->busy_request()) {
      if (report_.remaining.empty() && !report_.owner) // no process is left that could answer it
        server_->hear_from(*request, std::chrono::seconds(1));
      report_.evidence.push_back(show_request(*request));
    }
    if (!report_.remaining.empty() || report_.owner)
      ask_who_serves();
    if (leftovers_)
      if (auto stays = leftovers_->show())
        report_.evidence.push_back(*stays);
  }

  /// While processes still come and go, one that came after the census is in the group as well: then the next looks
  /// count.
  void agree_with_cgroup(census::Settled &settled) {
    constexpr int tries = 10;
    auto &tree = server_->tree();
    report_.cgroup_agrees = tree.agrees_with_cgroup(settled.walk);
    for (int i = 0; i < tries && report_.cgroup_agrees == false && settled.by == census::SettledBy::deadline; ++i) {
      settled.walk = tree.see([](pid_t) { return false; }).walk;
      report_.cgroup_agrees = tree.agrees_with_cgroup(settled.walk);
    }
  }

  void record(const census::Walk &walk) {
    auto &tree = server_->tree_before();
    reports::record_remaining(report_, tree.examine(walk, server_->helpers()), tree.examine_subject(walk),
                              {.harness = ::getpid()});
    for (const auto &process : report_.remaining)
      timeline_.note("remains", process.pid, spell(process.kind));
  }

  /// Only now: a worker that looks for its master after each request ends by being asked.
  void ask_who_serves() {
    if (auto port = show_port(report_))
      report_.evidence.push_back(*port);
    if (auto serves = show_serving(*server_, description_.pid))
      report_.evidence.push_back(*serves);
  }

  const Plan &plan_;
  const Conditions &conditions_;
  const ServerDescription &description_;
  const Inside &inside_;
  Timeline timeline_;
  Report report_;
  std::optional<census::LiveGenealogy> genealogy_;
  std::optional<RunningServer> server_;
  std::optional<Leftovers> leftovers_;
  // What each step leaves for those after it.
  std::optional<os::ProcessRef> busy_;
  double since_ms_ = 0, ended_after_ms_ = 0;
  std::string since_; // what happened then
  bool was_asked_ = false, none_waits_ = false, is_up_again_ = false;
};

} // namespace

Report drive_server(const Plan &plan, const Inside &inside) { return ServerReplay(plan, inside).run(); }

} // namespace pidleak::replay

// pidleak check-adapter: tells the author of an adapter what is wrong with it. Every check is a replay in which one
// thing is asked of it; what its pool then does is the pool's affair, as long as nothing has happened to it.
#include "harness/cli/pools.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/comparison.hpp"
#include "reports/terminal.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

namespace pidleak::cli {
namespace {

using replay::OomMode;
using replay::Plan;
using reports::Report;
using reports::Verdict;

struct CheckAdapterOptions {
  ReplayOptions replay;
  std::vector<std::string> command;
};

struct Check {
  std::string title;
  std::function<void(Conditions &)> ask;
  OomMode oom = OomMode::sigkill;
  /// Finds what the verdict does not tell; empty if nothing is wrong.
  std::function<std::string(const Report &)> look = [](const Report &) { return ""; };
};

bool said_hello(const Report &report) {
  return std::any_of(report.timeline.begin(), report.timeline.end(),
                     [](const auto &event) { return event.event == "hello"; });
}

std::string must_end(const Report &report) {
  return report.verdict == Verdict::clean ? ""
                                          : "no fault was injected: the pool must shut down, and only the helpers "
                                            "of pool_created or submitted may remain";
}

std::string must_reset(const Report &report) {
  for (const auto &evidence : report.evidence)
    if (auto count = evidence.facts.find("workers default"); evidence.condition == "sigterm")
      if (count == evidence.facts.end() || count->second != std::to_string(report.workers))
        return "the initializer has not run in every worker before its first task: " + evidence.text;
  return "";
}

std::vector<Check> plain_checks() {
  std::vector<Check> checks;
  for (auto method : all_of<StartMethod>())
    checks.push_back({.title = fmt::format("a pool by {}: tasks, shutdown, exit", spell(method)),
                      .ask = [=](Conditions &c) { c.start_method = method; },
                      .look = must_end});
  return checks;
}

std::vector<Check> further_checks() {
  auto handler = [](Conditions &c) { c.sigterm = Sigterm::handler; };
  auto killed = [](Conditions &c) { c.death = Death::sigkill; };
  auto oom_killed = [](Conditions &c) { c.death = Death::oom; };
  return {
      {.title = "SIGTERM: a handler, registered at run time", .ask = handler},
      {.title = "SIGTERM: a handler, registered at import",
       .ask =
           [=](Conditions &c) {
             handler(c);
             c.handler_registered = HandlerRegistered::import;
           }},
      {.title = "SIGTERM: a handler that ends the program", .ask = [](Conditions &c) { c.sigterm = Sigterm::exits; }},
      {.title = "SIGTERM: ignored", .ask = [](Conditions &c) { c.sigterm = Sigterm::ignored; }},
      {.title = "SIGTERM: blocked", .ask = [](Conditions &c) { c.sigterm = Sigterm::blocked; }},
      {.title = "SIGTERM: reset by an initializer",
       .ask =
           [=](Conditions &c) {
             handler(c);
             c.signal_reset = SignalReset::initializer;
           },
       .look = must_reset},
      {.title = "a full call queue", .ask = [](Conditions &c) { c.queue = CallQueueState::full; }},
      {.title = "a call queue that does not get full",
       .ask =
           [](Conditions &c) {
             c.queue = CallQueueState::full;
             c.queue_slots = QueueSlots::plenty;
           }},
      {.title = "a worker is killed in its task", .ask = killed},
      {.title = "a worker is OOM-killed in its task", .ask = oom_killed, .oom = OomMode::real},
      {.title = "a worker is killed with the queue's lock in hand",
       .ask =
           [=](Conditions &c) {
             killed(c);
             c.death_point = DeathPoint::holding_queue_lock;
           }},
      {.title = "a worker is killed half way through a result",
       .ask =
           [=](Conditions &c) {
             killed(c);
             c.death_point = DeathPoint::half_result;
           }},
      {.title = "a broken pool kills its workers",
       .ask =
           [=](Conditions &c) {
             killed(c);
             c.terminate = Terminate::sigkill;
           }},
      {.title = "the pool's owner is OOM-killed",
       .ask =
           [=](Conditions &c) {
             oom_killed(c);
             c.victim = Victim::owner;
           },
       .oom = OomMode::real},
  };
}

class Checklist {
public:
  Checklist(const ReplayOptions &options, const replay::PoolChoice &pool) : options_(options), pool_(pool) {}

  /// Replays each, and keeps what came of it. Returns the first start method that works, if there is one. A subject
  /// that can't say hello is not asked again.
  std::optional<StartMethod> go_through(const std::vector<Check> &checks, StartMethod method) {
    std::vector<Plan> plans;
    for (const auto &check : checks) {
      Plan plan{.scenario = {.name = check.title, .summary = ""}, .pool = pool_, .oom = check.oom};
      plan.scenario.conditions.start_method = method;
      check.ask(plan.scenario.conditions);
      plans.push_back(std::move(plan));
    }
    std::optional<StartMethod> works;
    std::vector<Report> reports;
    replay({plans.front()}, reports);
    if (reports.front().verdict != Verdict::broken || said_hello(reports.front()))
      replay({plans.begin() + 1, plans.end()}, reports);
    for (std::size_t i = 0; i < reports.size(); ++i)
      if (take(checks[i], reports[i]) && !works)
        works = plans[i].scenario.conditions.start_method;
    return works;
  }

  std::string render() const {
    auto text = text_;
    for (const auto &mistake : mistakes_)
      text += fmt::format("  WRONG  {}\n", reports::printable(mistake));
    return text + reports::render_details(wrong_, {.colour = wants_colour(1), .verbose = true});
  }

  std::size_t wrong() const { return wrong_.size() + mistakes_.size(); }

private:
  void replay(const std::vector<Plan> &plans, std::vector<Report> &reports) const {
    auto replayed =
        replay_all("check-adapter", options_, plans, [&](std::size_t, Report &report) { reports.push_back(report); });
    if (auto signal = replayed.ran.interrupted_by)
      throw Interrupted(replayed.count(), *signal);
  }

  /// True if it was done, and correctly.
  bool take(const Check &check, const Report &report) {
    for (const auto &event : report.timeline)
      if (event.event == "mistake")
        mistakes_.insert(event.detail);
    if (report.verdict == Verdict::skipped) {
      text_ += fmt::format("  -      {:<52} {}\n", check.title, reports::printable(report.reason));
      return false;
    }
    bool done = report.verdict != Verdict::broken && report.verdict != Verdict::invalid;
    auto found = done ? check.look(report) : "";
    if (done && found.empty()) {
      text_ += fmt::format("  ok     {:<52} {}\n", check.title, reports::describe(reports::Tallies({report}).all()));
      return true;
    }
    text_ +=
        fmt::format("  WRONG  {:<52} {}\n", check.title, reports::printable(found.empty() ? report.reason : found));
    wrong_.push_back(report);
    return false;
  }

  ReplayOptions options_;
  replay::PoolChoice pool_;
  std::string text_;
  std::set<std::string> mistakes_;
  std::vector<Report> wrong_;
};

int check_adapter(const CheckAdapterOptions &options) {
  auto word = fmt::format("exec:{}", fmt::join(options.command, " "));
  auto pool = choose_pools({fmt::format("exec:{}", options.command.front())}).front();
  pool.name = word;
  pool.arguments.assign(options.command.begin() + 1, options.command.end());
  Checklist checklist(options.replay, pool);
  auto method = checklist.go_through(plain_checks(), StartMethod::fork);
  if (method)
    checklist.go_through(further_checks(), *method);
  auto text = checklist.render() + "\n";
  if (!method)
    text += "no start method works: nothing else was tried\n";
  else if (checklist.wrong() > 0)
    text += fmt::format("{} problem{}\n", checklist.wrong(), checklist.wrong() == 1 ? "" : "s");
  else
    text += fmt::format("nothing wrong was found. To replay everything: pidleak run all --pool \"{}\"\n", word);
  std::fputs(text.c_str(), stdout);
  return method && checklist.wrong() == 0 ? 0 : 1;
}

} // namespace

Command check_adapter_verb() {
  auto options = std::make_shared<CheckAdapterOptions>();
  return {.name = "check-adapter",
          .summary = "Find out what is wrong with an adapter for a pool of your own",
          .options = {{.name = "COMMAND",
                       .into = &options->command,
                       .summary = "The adapter and its arguments, see PROTOCOL.md",
                       .value = "",
                       .required = true}},
          .footer = "ok: the adapter did what was asked, with the pool's result. -: it does not offer that, or this\n"
                    "machine lacks something. WRONG: with the reason. Status 0: nothing is wrong, 1: something is.\n\n"
                    "Examples:\n"
                    "  pidleak check-adapter ./my-subject --option\n"
                    "  pidleak check-adapter python3 my_subject.py",
          .takes_command = true,
          .run = [options](const Given &) { return check_adapter(*options); }};
}

} // namespace pidleak::cli

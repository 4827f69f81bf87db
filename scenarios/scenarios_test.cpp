// Every scenario, on every preset, under every start method: the verdict and what remains must be what the scenario
// says. One Catch2 case, and so one ctest case, for each.
#include "harness/replay/run.hpp"
#include "scenarios/cases.hpp"
#include "scenarios/scenarios.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

namespace {

using namespace pidleak;
using reports::Verdict;

/// What the scenarios themselves say.
void add_expected_cases() {
  for (const auto *scenario : scenarios::all())
    for (const auto &expected : scenario->expectations) {
      auto plan = cases::plan(*scenario, expected.preset, expected.start_method);
      cases::add(fmt::format("{} on {} with {} is {}", scenario->name, expected.preset, spell(expected.start_method),
                             spell(expected.verdict)),
                 {"scenario", scenario->name, expected.preset, spell(expected.start_method)}, [=] {
                   cases::check(replay::run(plan), expected.verdict, {{expected.live, expected.zombies}});
                 });
    }
}

/// What the scenarios' own conditions leave out, and DESIGN's table of real interpreters has.
void add_variants() {
  struct Variant {
    const char *name;
    const char *preset;
    StartMethod method;
    void (*change)(Conditions &);
    Verdict verdict;
    int live, zombies;
  };
  using enum StartMethod;
  auto at_import = [](Conditions &c) { c.handler_registered = HandlerRegistered::import; };
  auto ignored = [](Conditions &c) { c.sigterm = Sigterm::ignored; };
  auto blocked = [](Conditions &c) { c.sigterm = Sigterm::blocked; };
  auto reset = [](Conditions &c) { c.signal_reset = SignalReset::initializer; };
  auto never_end = [](Conditions &c) { c.tasks = Tasks::never_end; };
  auto count_first = [](Conditions &c) { c.race = Race::count_first; };
  const Variant variants[] = {
      {"handler registered at import", "cpython36", spawn, at_import, Verdict::leaked, 3, 0},
      {"handler registered at import", "cpython36", forkserver, at_import, Verdict::leaked, 3, 0},
      {"handler registered at import", "cpython37", spawn, at_import, Verdict::clean, 0, 0},
      {"handler registered at import", "cpython312", spawn, at_import, Verdict::hung, 3, 1},
      {"handler registered at import", "cpython312", forkserver, at_import, Verdict::hung, 3, 0},
      {"handler registered at import", "hardened", spawn, at_import, Verdict::clean, 0, 0},
      {"handler registered at import", "hardened", forkserver, at_import, Verdict::clean, 0, 0},
      {"SIGTERM ignored", "cpython36", spawn, ignored, Verdict::leaked, 3, 0},
      {"SIGTERM ignored", "cpython312", spawn, ignored, Verdict::hung, 3, 1},
      {"SIGTERM ignored", "cpython312", fork, ignored, Verdict::hung, 3, 1},
      {"SIGTERM ignored", "hardened", fork, ignored, Verdict::clean, 0, 0},
      {"SIGTERM ignored", "hardened", spawn, ignored, Verdict::clean, 0, 0},
      {"SIGTERM blocked", "cpython36", fork, blocked, Verdict::leaked, 3, 0},
      {"SIGTERM blocked", "cpython312", fork, blocked, Verdict::hung, 3, 1},
      {"SIGTERM blocked", "cpython312", spawn, blocked, Verdict::clean, 0, 0},
      {"SIGTERM blocked", "hardened", fork, blocked, Verdict::clean, 0, 0},
      {"signals reset by an initializer", "cpython36", fork, reset, Verdict::clean, 0, 0},
      {"signals reset by an initializer", "cpython312", fork, reset, Verdict::clean, 0, 0},
      {"tasks that never end", "cpython36", fork, never_end, Verdict::leaked, 3, 0},
      {"tasks that never end", "cpython312", fork, never_end, Verdict::hung, 3, 1},
      {"tasks that never end", "hardened", fork, never_end, Verdict::clean, 0, 0},
      {"workers that exit late", "cpython36", fork, count_first, Verdict::leaked, 3, 1},
      {"workers that exit late", "cpython312", fork, count_first, Verdict::hung, 3, 1},
      {"workers that exit late", "hardened", fork, count_first, Verdict::clean, 0, 0},
  };
  for (const auto &variant : variants) {
    auto plan = cases::plan(cases::scenario("incident"), variant.preset, variant.method);
    variant.change(plan.scenario.conditions);
    cases::add(fmt::format("incident with {} on {} with {} is {}", variant.name, variant.preset, spell(variant.method),
                           spell(variant.verdict)),
               {"scenario", "incident", variant.preset, spell(variant.method)}, [=] {
                 cases::check(replay::run(plan), variant.verdict, {{variant.live, variant.zombies}});
               });
  }
}

/// full-queue-shutdown in the order in which workers die before they are counted: no pool loses a worker.
void add_other_order() {
  for (const auto *preset : {"cpython36", "cpython37", "cpython312", "hardened"}) {
    auto plan = cases::plan(cases::scenario("full-queue-shutdown"), preset, StartMethod::fork);
    plan.scenario.conditions.race = Race::exit_first;
    cases::add(fmt::format("full-queue-shutdown with workers that exit in time on {} is clean", preset),
               {"scenario", "full-queue-shutdown", preset, "fork"}, [=] {
                 cases::check(replay::run(plan), Verdict::clean, {{0, 0}});
               });
  }
}

/// hardened leaves no process behind wherever a worker dies.
void add_death_points() {
  for (auto point : {DeathPoint::holding_queue_lock, DeathPoint::half_result})
    for (auto method : all_of<StartMethod>()) {
      auto plan = cases::plan(cases::scenario("incident"), "hardened", method);
      plan.scenario.conditions.death_point = point;
      cases::add(fmt::format("incident with a death {} on hardened with {} is clean", spell(point), spell(method)),
                 {"scenario", "incident", "hardened", spell(method)}, [=] {
                   cases::check(replay::run(plan), Verdict::clean, {{0, 0}});
                 });
    }
  auto plan = cases::plan(cases::scenario("incident"), "cpython36", StartMethod::fork);
  plan.scenario.conditions.death_point = DeathPoint::half_result;
  cases::add("incident with a death half-result on cpython36 with fork is hung",
             {"scenario", "incident", "cpython36", "fork"}, [=] {
               cases::check(replay::run(plan), Verdict::hung, {{3, 1}});
             });
}

/// Without a fault there is nothing to lose.
void add_clean_twins() {
  for (const auto *preset : {"cpython36", "cpython37", "cpython312", "hardened"}) {
    auto plan = cases::plan(cases::scenario("incident"), preset, StartMethod::fork);
    plan.scenario.conditions.death = Death::none;
    cases::add(fmt::format("incident without a death on {} is clean", preset), {"scenario", "incident", preset, "fork"},
               [=] {
                 cases::check(replay::run(plan), Verdict::clean, {{0, 0}});
               });
  }
}

/// An idle pool is no safer when its owner ends than a busy one; nor is one whose tasks never end.
void add_other_tasks() {
  for (const auto *scenario : {"graceful-stop", "owner-killed"})
    for (const auto *preset : {"cpython37", "hardened"})
      for (auto [tasks, word] : {std::pair(Tasks::ended, "idle workers"), std::pair(Tasks::never_end, "stuck ones")}) {
        auto plan = cases::plan(cases::scenario(scenario), preset, StartMethod::fork);
        plan.scenario.conditions.tasks = tasks;
        plan.oom = replay::OomMode::sigkill;
        bool leaks = std::string(preset) != "hardened";
        cases::add(fmt::format("{} with {} on {} is {}", scenario, word, preset, leaks ? "leaked" : "clean"),
                   {"scenario", scenario, preset, "fork"}, [=] {
                     cases::check(replay::run(plan), leaks ? Verdict::leaked : Verdict::clean, {{leaks ? 4 : 0, 0}});
                   });
      }
}

/// An owner that catches SIGTERM shuts its pool down; a task that never ends keeps it from that until the SIGKILL.
void add_handling_owners() {
  for (const auto *preset : {"cpython36", "hardened"})
    for (const auto *scenario : {"graceful-stop", "kubelet-stop"}) {
      auto plan = cases::plan(cases::scenario(scenario), preset, StartMethod::fork);
      plan.scenario.conditions.sigterm = Sigterm::handler;
      bool leaks = plan.scenario.conditions.tasks == Tasks::never_end && std::string(preset) != "hardened";
      cases::add(fmt::format("{} of an owner with a handler on {} is {}", scenario, preset, leaks ? "leaked" : "clean"),
                 {"scenario", scenario, preset, "fork"}, [=] {
                   auto report = replay::run(plan);
                   cases::check(report, leaks ? Verdict::leaked : Verdict::clean, {{leaks ? 4 : 0, 0}});
                   bool was_killed = std::any_of(report.evidence.begin(), report.evidence.end(),
                                                 [](const auto &one) { return one.condition == "grace"; });
                   CHECK(was_killed == leaks);
                 });
    }
}

/// An idle pool is no safer when its owner is killed than a busy one.
void add_idle_owners() {
  for (auto method : all_of<StartMethod>())
    for (const auto *preset : {"cpython36", "hardened"}) {
      auto plan = cases::plan(cases::scenario("owner-killed"), preset, method);
      plan.scenario.conditions.tasks = Tasks::ended;
      bool leaks = std::string(preset) != "hardened";
      cases::add(
          fmt::format("owner-killed while idle on {} with {} is {}", preset, spell(method), leaks ? "leaked" : "clean"),
          {"scenario", "owner-killed", preset, spell(method)}, [=] {
            cases::check(replay::run(plan), leaks ? Verdict::leaked : Verdict::clean, {{leaks ? 4 : 0, 0}});
          });
    }
}

const bool scenarios_added = [] {
  add_expected_cases();
  add_variants();
  add_other_order();
  add_death_points();
  add_clean_twins();
  add_idle_owners();
  add_other_tasks();
  add_handling_owners();
  return true;
}();

} // namespace

TEST_CASE("a fault that does not happen makes a replay invalid", "[scenario][detector]") {
  // The queue is said to be full and is not filled: that step is left out.
  auto plan = cases::plan(cases::scenario("incident"), "cpython36", StartMethod::fork);
  plan.oom = replay::OomMode::sigkill;
  std::erase(plan.scenario.steps, replay::Step::fill_queue);
  auto report = replay::run(plan);
  INFO(report.reason);
  CHECK(report.verdict == Verdict::invalid);
  CHECK(report.reason.find("0 of 5 slots") != std::string::npos);
}

TEST_CASE("what is for servers alone is skipped on a pool, with what there is instead", "[scenario]") {
  auto report = replay::run(cases::plan(cases::scenario("worker-oom-killed"), "hardened", StartMethod::fork));
  CHECK(report.verdict == Verdict::skipped);
  CHECK(report.reason.find("oom-killed-child") != std::string::npos);
}

TEST_CASE("a census of direct children only misses workers that are a fork server's", "[scenario][detector]") {
  auto plan = cases::plan(cases::scenario("incident"), "cpython36", StartMethod::forkserver);
  plan.scenario.conditions.handler_registered = HandlerRegistered::import;
  plan.oom = replay::OomMode::sigkill;
  auto report = replay::run(plan);
  INFO(report.reason);
  CHECK(report.verdict == Verdict::leaked);
  CHECK(report.live == 3);
  REQUIRE(report.owner);
  for (const auto &process : report.remaining)
    if (process.kind != census::Kind::helper)
      CHECK(process.parent != report.owner->pid);
}

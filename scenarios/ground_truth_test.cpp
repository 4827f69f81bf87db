// The presets against what real interpreters were measured to do: every cell of ground_truth.json, one case each.
// And the same interpreters once more, where this machine has them.
#include "harness/cli/pools.hpp"
#include "harness/os/pipe.hpp"
#include "harness/replay/run.hpp"
#include "scenarios/cases.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace pidleak;

std::string preset_of(const std::string &python) {
  return python.starts_with("3.6") ? "cpython36" : python.starts_with("3.9") ? "cpython37" : "cpython312";
}

template <class E>
E word(const nlohmann::json &cell, const char *member) {
  auto text = cell.at(member).get<std::string>(); // "run time", "never end"
  for (auto &c : text)
    c = c == ' ' ? '-' : c;
  return parse_spelling<E>(text).value();
}

/// Which order of exits and count an observation shows, where both were seen: an unreaped victim or worker means
/// that the count came first. Only 3.6 counts in a way that shows.
Race order_of(const nlohmann::json &observed, const std::string &preset) {
  return preset == "cpython36" && observed.at("zombie") > 0 ? Race::count_first : Race::exit_first;
}

/// The conditions under which one observation was made.
Conditions conditions_of(const nlohmann::json &cell, const nlohmann::json &observed) {
  auto conditions = cases::scenario("incident").conditions;
  conditions.start_method = word<StartMethod>(cell, "start_method");
  conditions.sigterm = word<Sigterm>(cell, "sigterm");
  conditions.queue = word<CallQueueState>(cell, "call_queue");
  conditions.handler_registered = word<HandlerRegistered>(cell, "handler_registered");
  conditions.signal_reset = word<SignalReset>(cell, "signal_reset");
  conditions.tasks = word<Tasks>(cell, "tasks");
  conditions.race = order_of(observed, preset_of(cell.at("python")));
  return conditions;
}

using Counts = std::vector<std::pair<int, int>>; // live, zombies

/// What is as right as what was observed.
Counts counts_of(const nlohmann::json &cell, const nlohmann::json &observed, const Conditions &conditions, bool real) {
  int live = observed.at("live"), zombies = observed.at("zombie");
  Counts counts = {{live, zombies}};
  // Tasks that never end: whether the victim had been joined differed between two runs of 3.9 and 3.13.
  if (conditions.tasks == Tasks::never_end && observed.at("verdict") == "hung")
    counts = {{3, 0}, {3, 1}};
  // 3.6: one slot was free when 2 live were seen, and one worker got its sentinel.
  if (preset_of(cell.at("python")) == "cpython36" && live == 2)
    counts = {{3, zombies}};
  // Who swallows its SystemExit is chance, and where the count was made to come first the victim stays as well.
  if (real && conditions.sigterm == Sigterm::exits && live > 0)
    counts = {{0, 3}, {1, 2}, {2, 1}, {3, 0}, {0, 4}, {1, 3}, {2, 2}, {3, 1}};
  return counts;
}

/// One observation and one pool that must do the same: `pool` is a preset or the word for a real one.
void add_case(const nlohmann::json &cell, const nlohmann::json &observed, const std::string &pool) {
  bool real = pool.find(':') != pool.npos;
  auto python = cell.at("python").get<std::string>();
  auto conditions = conditions_of(cell, observed);
  auto verdict = word<reports::Verdict>(observed, "verdict");
  auto name = fmt::format("{} as CPython {}: {} {} {} {} {} {} is {} {} {}", real ? "now does" : pool + " does", python,
                          spell(conditions.start_method), spell(conditions.sigterm), spell(conditions.queue),
                          spell(conditions.handler_registered), spell(conditions.signal_reset), spell(conditions.tasks),
                          spell(verdict), observed.at("live").get<int>(), observed.at("zombie").get<int>());
  auto counts = counts_of(cell, observed, conditions, real);
  int helpers = observed.at("helpers");
  cases::add(name, {"ground-truth", "once", real ? "further-pool" : pool, spell(conditions.start_method)}, [=] {
    auto choice = real ? cli::choose_pools({pool}).front() : cases::preset(pool);
    replay::Plan plan{.scenario = cases::scenario("incident"), .pool = choice};
    plan.scenario.conditions = conditions;
    auto report = replay::run(plan);
    // From 3.12 on a worker gets SIGTERM twice. If both come before it has handled one, its task swallows the only
    // SystemExit: more often the slower the machine.
    if (real && conditions.sigterm == Sigterm::exits && preset_of(python) == "cpython312" &&
        report.verdict == reports::Verdict::hung) {
      CHECK(report.live > 0);
      return;
    }
    cases::check(report, verdict, counts);
    CHECK(report.helpers == helpers);
  });
}

const bool ground_truth_added = [] {
  auto truth = nlohmann::json::parse(os::read_file(std::string(PIDLEAK_SOURCE_DIR) + "/scenarios/ground_truth.json"));
  for (const auto &cell : truth.at("cells")) {
    auto python = cell.at("python").get<std::string>();
    std::vector<std::string> pools = {"python:" + python};
    if (cell.at("sigterm") != "exits") // the minimal pool has no except clause to swallow a SystemExit
      pools.push_back(preset_of(python));
    for (const auto &observed : cell.at("observed"))
      for (const auto &pool : pools)
        add_case(cell, observed, pool);
  }
  return true;
}();

} // namespace

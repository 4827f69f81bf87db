// The presets against what real interpreters were measured to do: every cell of ground_truth.json, one case each.
//
// Left out are the cells of handlers that raise SystemExit: CPython's own except clause may swallow it, and the
// minimal pool has no such thing.
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

void add_cell(const nlohmann::json &cell, const nlohmann::json &observed) {
  auto preset = preset_of(cell.at("python"));
  auto plan = cases::plan(scenarios::incident(), preset, word<StartMethod>(cell, "start_method"));
  auto &conditions = plan.scenario.conditions;
  conditions.sigterm = word<Sigterm>(cell, "sigterm");
  conditions.queue = word<CallQueueState>(cell, "call_queue");
  conditions.handler_registered = word<HandlerRegistered>(cell, "handler_registered");
  conditions.signal_reset = word<SignalReset>(cell, "signal_reset");
  conditions.tasks = word<Tasks>(cell, "tasks");
  conditions.race = order_of(observed, preset);
  int live = observed.at("live"), zombies = observed.at("zombie"), helpers = observed.at("helpers");
  auto verdict = word<reports::Verdict>(observed, "verdict");
  std::vector<std::pair<int, int>> counts = {{live, zombies}};
  if (preset == "cpython36" && live == 2) // one slot was free when that was seen, and one worker got its sentinel
    counts = {{3, zombies}};
  auto name = fmt::format("{} does as CPython {}: {} {} {} {} {} {} is {} {} {}", preset,
                          cell.at("python").get<std::string>(), spell(conditions.start_method),
                          spell(conditions.sigterm), spell(conditions.queue), spell(conditions.handler_registered),
                          spell(conditions.signal_reset), spell(conditions.tasks), spell(verdict), live, zombies);
  cases::add(name, {"ground-truth", preset, spell(conditions.start_method)}, [=] {
    auto report = replay::run(plan);
    auto expected = counts;
    // Tasks that never end: whether the victim had been joined differed between two runs of 3.9 and 3.13.
    if (plan.scenario.conditions.tasks == Tasks::never_end && verdict == reports::Verdict::hung)
      expected = {{3, 0}, {3, 1}};
    cases::check(report, verdict, expected);
    if (report.verdict != reports::Verdict::skipped)
      CHECK(report.helpers == helpers);
  });
}

const bool added = [] {
  auto truth = nlohmann::json::parse(os::read_file(std::string(PIDLEAK_SOURCE_DIR) + "/scenarios/ground_truth.json"));
  for (const auto &cell : truth.at("cells"))
    if (cell.at("sigterm") != "exits")
      for (const auto &observed : cell.at("observed"))
        add_cell(cell, observed);
  return true;
}();

} // namespace

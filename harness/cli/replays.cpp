#include "harness/cli/replays.hpp"

#include "harness/base/suggestion.hpp"
#include "harness/cli/output_file.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/pools.hpp"
#include "harness/os/signals.hpp"
#include "harness/pool/behaviour.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::cli {

using replay::Plan;
using replay::SubjectKind;
using reports::Report;

namespace {

std::vector<std::string> with(std::vector<std::string> words, const std::string &another) {
  words.push_back(another);
  return words;
}

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto *scenario : scenarios::all())
    names.push_back(scenario->name);
  return names;
}

std::vector<const replay::Scenario *> chosen_scenarios(const ReplayOptions &options) {
  std::vector<const replay::Scenario *> chosen;
  for (const auto &name : options.scenarios) {
    if (name == "all")
      return scenarios::all();
    const auto *scenario = scenarios::find(name);
    if (!scenario) {
      throw UsageError(fmt::format("there is no scenario \"{}\"{}", name, suggestion(name, scenario_names())));
    }
    chosen.push_back(scenario);
  }
  return chosen;
}

std::vector<StartMethod> chosen_start_methods(const ReplayOptions &options, const replay::Scenario &scenario) {
  if (options.start_methods.empty())
    return scenario.start_methods;
  std::vector<StartMethod> methods;
  for (const auto &name : options.start_methods) {
    if (name == "all")
      return all_of<StartMethod>();
    methods.push_back(word<StartMethod>("--start-method", name));
  }
  return methods;
}

reports::Tier choose_tier(const ReplayOptions &options, const replay::Facilities &facilities) {
  auto tier = facilities.strongest;
  if (!options.tier.empty())
    tier = std::min(tier, word<reports::Tier>("--tier", options.tier));
  if (tier == reports::Tier::attached)
    throw UsageError("--tier attached: not for replays; it is the tier of pidleak guard --attach");
  return tier;
}

/// Sets the condition of that name. `text` is a word of it, or throws UsageError.
void set_condition(Conditions &conditions, const std::string &wanted, const std::string &text) {
  for_each_condition(conditions, [&]<class E>(const char *name, E &member) {
    if (name == wanted)
      member = word<E>("--" + wanted, text);
  });
}

/// One for each condition, but for the start method, which may be several.
std::vector<Option> condition_options(ReplayOptions &options) {
  std::vector<Option> all;
  Conditions defaults;
  for_each_condition(defaults, [&]<class E>(const char *name, E &) {
    if constexpr (!std::is_same_v<E, StartMethod>)
      all.push_back({.name = fmt::format("--{}", name),
                     .into =
                         [&options, name](const std::string &text) {
                           Conditions scratch;
                           set_condition(scratch, name, text);
                           options.overrides.push_back(
                               [=](Conditions &conditions) { set_condition(conditions, name, text); });
                         },
                     .summary = fmt::format("{}", fmt::join(spellings<E>(), ", ")),
                     .value = "WORD",
                     .words = spellings<E>(),
                     .group = "Conditions, in place of the scenario's own"});
  });
  return all;
}

/// No replay is attached to anything.
std::vector<std::string> replay_tiers() {
  auto tiers = spellings<reports::Tier>();
  std::erase(tiers, spell(reports::Tier::attached));
  return tiers;
}

/// Of several things that its workers may do, those that it is known how to make them do; where there is but one, the
/// replay says why not.
bool can_be(Tasks tasks, const replay::Scenario &scenario, const replay::ServerDescription &server) {
  using replay::BusyBy;
  if (scenario.tasks.size() < 2)
    return true;
  bool has_idle = server.busy_by != BusyBy::always;
  return tasks == Tasks::ended    ? has_idle
         : tasks == Tasks::finish ? server.busy_by != BusyBy::nothing
                                  : server.busy_by != BusyBy::nothing && server.busy_by != BusyBy::itself;
}

/// Its interpreter and libraries take their time to start. A master can't be told to allocate. Workers that are always
/// busy are so while they would be idle.
void fit_to_server(Plan &plan, milliseconds ready_within) {
  plan.step_bound = ready_within;
  auto &conditions = plan.scenario.conditions;
  if (conditions.victim == Victim::owner && conditions.death == Death::oom)
    conditions.death = Death::sigkill;
  if (plan.pool.server->busy_by == replay::BusyBy::always && conditions.tasks == Tasks::ended)
    conditions.tasks = Tasks::finish;
}

} // namespace

void refuse_word(const std::string &option, const std::string &text, const std::vector<std::string> &known) {
  throw UsageError(fmt::format("{} {}: not known{}", option, text, suggestion(text, known)));
}

std::vector<Plan> make_plans(const ReplayOptions &options) {
  std::vector<Plan> plans;
  auto pools = choose_pools(options.pools);
  if (options.served)
    pools.push_back(*options.served);
  bool all = std::find(options.scenarios.begin(), options.scenarios.end(), "all") != options.scenarios.end();
  for (const auto *scenario : chosen_scenarios(options)) {
    auto add = [&](const replay::PoolChoice &pool, const auto &vary) {
      Plan plan{.scenario = *scenario, .pool = pool, .oom = word<replay::OomMode>("--oom", options.oom)};
      plan.take_stacks = options.stacks;
      plan.grace = options.grace;
      auto &conditions = plan.scenario.conditions;
      conditions.workers = options.workers;
      vary(conditions);
      for (const auto &set : options.overrides)
        set(conditions);
      if (pool.server)
        fit_to_server(plan, options.ready_within);
      bool is_new =
          std::none_of(plans.begin(), plans.end(), [&](const Plan &known) { // an option may have made it another
            return known.scenario.name == plan.scenario.name && known.pool.name == plan.pool.name &&
                   known.scenario.conditions == conditions;
          });
      if (is_new)
        plans.push_back(std::move(plan));
    };
    for (auto method : chosen_start_methods(options, *scenario))
      for (const auto &pool : pools)
        if (!pool.server && (!all || scenario->is_for(SubjectKind::pool)))
          add(pool, [&](Conditions &conditions) { conditions.start_method = method; });
    auto tasks = scenario->tasks.empty() ? std::vector{scenario->conditions.tasks} : scenario->tasks;
    for (auto of_workers : tasks)
      for (const auto &pool : pools)
        if (pool.server && (!all || scenario->is_for(SubjectKind::server)) &&
            can_be(of_workers, *scenario, *pool.server))
          add(pool, [&](Conditions &conditions) { conditions.tasks = of_workers; });
  }
  return plans;
}

std::vector<std::pair<std::string, std::string>> changed_conditions(const Report &report) {
  std::vector<std::pair<std::string, std::string>> changed;
  Conditions defaults;
  for_each_condition(defaults, [&](const char *name, auto &word) {
    auto found = report.conditions.find(name);
    if (found != report.conditions.end() && found->second != spell(word))
      changed.push_back(*found);
  });
  return changed;
}

std::vector<std::string> run_words(const Report &report) {
  std::vector<std::string> words = {"pidleak", "run", report.scenario, "--pool", report.pool};
  const auto *known = scenarios::find(report.scenario);
  auto scenario = known ? *known : replay::Scenario{};
  if (report.workers > 0 && report.workers != ReplayOptions{}.workers)
    words.insert(words.end(), {"--workers", std::to_string(report.workers)});
  for_each_condition(scenario.conditions, [&](const char *name, auto own) {
    auto found = report.conditions.find(name);
    if (found == report.conditions.end())
      return;
    bool is_own = found->second == spell(own);
    if constexpr (std::is_same_v<decltype(own), StartMethod>)
      is_own = scenario.start_methods.size() == 1 && found->second == spell(scenario.start_methods.front());
    if constexpr (std::is_same_v<decltype(own), Tasks>)
      is_own = is_own && scenario.tasks.empty();
    if (!is_own)
      words.insert(words.end(), {fmt::format("--{}", name), found->second});
  });
  return words;
}

std::string done_in(const Report &report) {
  std::vector<std::string> changed;
  for (const auto &[name, word] : changed_conditions(report))
    if (name != "start-method") // told beside the workers
      changed.push_back(fmt::format("{} {}", name, word));
  auto method = report.conditions.find("start-method");
  if (method == report.conditions.end()) { // a server's, or guard's
    if (report.conditions.empty() || (report.workers == 0 && report.verdict == reports::Verdict::broken))
      return "";
    std::erase_if(changed, [](const std::string &text) { return text.starts_with("tasks "); }); // its row says that
    return fmt::format("{} worker{}{}{}", report.workers, report.workers == 1 ? "" : "s", changed.empty() ? "" : "; ",
                       fmt::join(changed, ", "));
  }
  return fmt::format("{} workers with {}; {}", report.workers, method->second,
                     changed.empty() ? "nothing else" : fmt::to_string(fmt::join(changed, ", ")));
}

std::string Replayed::count() const {
  auto all = fmt::format("{} replay{}", wanted, wanted == 1 ? "" : "s");
  return ran.interrupted_by
             ? fmt::format("interrupted by {}: {} of {} were done", os::signal_name(*ran.interrupted_by), ran.done, all)
             : all;
}

Place find_place(const ReplayOptions &options) {
  auto facilities = replay::find_facilities();
  auto tier = choose_tier(options, facilities);
  auto notes = fmt::format("{}{}", facilities.notes.empty() ? "" : "\n  ", fmt::join(facilities.notes, "\n  "));
  if (!options.require_tier.empty() && tier < word<reports::Tier>("--require-tier", options.require_tier))
    throw TierRefused(fmt::format("tier {} is required, this run has {}{}", options.require_tier, spell(tier), notes));
  return {.facilities = std::move(facilities), .tier = tier, .text = fmt::format("tier {}{}", spell(tier), notes)};
}

Option from_option(ReplayOptions &options) {
  return {.name = "--from",
          .into = &options.from,
          .summary = "Take the replays from this report, of shards that were merged for instance, and do none",
          .value = "FILE",
          .group = "Shards"};
}

std::vector<Option> replay_options(ReplayOptions &options) {
  auto number = [](const char *name, int &into, const char *summary, int most) -> Option {
    return {.name = name, .into = &into, .summary = summary, .value = "N", .range = {{1, most}}, .shows_default = true};
  };
  std::vector<Option> all = {
      {.name = "SCENARIO",
       .into = &options.scenarios,
       .summary = "Names as `pidleak list` shows them, or: all",
       .words = with(scenario_names(), "all"),
       .required = true},
      {.name = "--pool",
       .into = &options.pools,
       .summary = "Presets, all of them (the default), real pools such as python:3.12 (`pidleak list --pools`), or "
                  "exec:COMMAND",
       .value = "POOL",
       .words = with(spellings<pool::Preset>(), "all")},
      {.name = "--start-method",
       .into = &options.start_methods,
       .summary = "fork, spawn, forkserver, or: all",
       .value = "METHOD",
       .words = with(spellings<StartMethod>(), "all"),
       .separated = true},
      number("--workers", options.workers, "Workers of the pool", 256),
      number("--repeat", options.repeat, "Replays of each", 100000),
      number("--jobs", options.jobs, "Replays at the same time", 64),
      {.name = "--report",
       .into = [&options](const std::string &path) { options.report_path = output_path(path); },
       .summary = "Write the JSON leak report to this file",
       .value = "FILE"},
      {.name = "--json",
       .into = &options.json,
       .summary = "Write the JSON leak report to standard output, and no table"},
      {.name = "--stacks",
       .into = &options.stacks,
       .summary = "Show the stack of every thread that remains (needs elfutils)"},
      {.name = "--oom",
       .into = &options.oom,
       .summary = "real, or sigkill: a plain SIGKILL stands in for the OOM kill",
       .value = "WORD",
       .words = spellings<replay::OomMode>(),
       .shows_default = true},
      {.name = "--require-tier",
       .into = &options.require_tier,
       .summary = "Skip (status 4) where this run would be weaker",
       .value = "TIER",
       .words = replay_tiers()},
      {.name = "--tier",
       .into = &options.tier,
       .summary = "Use at most this tier: subreaper, namespace, namespace-cgroup",
       .value = "TIER",
       .words = replay_tiers()},
  };
  append(all, condition_options(options));
  append(all, shard_options(options.shards));
  return all;
}

} // namespace pidleak::cli

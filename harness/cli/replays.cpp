#include "harness/cli/replays.hpp"

#include "harness/cli/outputs.hpp"
#include "harness/cli/pools.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>

namespace pidleak::cli {

using replay::Plan;
using reports::Report;

namespace {

std::vector<const replay::Scenario *> chosen_scenarios(const ReplayOptions &options) {
  std::vector<const replay::Scenario *> chosen;
  for (const auto &name : options.scenarios) {
    if (name == "all")
      return scenarios::all();
    const auto *scenario = scenarios::find(name);
    if (!scenario) {
      std::vector<std::string> names;
      for (const auto *known : scenarios::all())
        names.push_back(known->name);
      throw UsageError(fmt::format("there is no scenario \"{}\"{}", name, suggestion(name, names)));
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
      return {StartMethod::fork, StartMethod::spawn, StartMethod::forkserver};
    methods.push_back(word<StartMethod>("--start-method", name));
  }
  return methods;
}

/// Shows on a terminal's standard error how far a long run is.
class Progress {
public:
  explicit Progress(std::size_t total) : total_(total), shown_(total > 1 && ::isatty(2)) {}
  ~Progress() {
    if (shown_)
      std::fputs("\r\x1b[K", stderr);
  }
  void operator()(std::size_t done, const Report &report) const {
    if (shown_)
      std::fprintf(stderr, "\r\x1b[K[%zu/%zu] %s on %s: %s", done, total_, report.scenario.c_str(), report.pool.c_str(),
                   spell(report.verdict).c_str());
  }

private:
  std::size_t total_;
  bool shown_;
};

reports::Tier choose_tier(const ReplayOptions &options, const replay::Facilities &facilities) {
  auto tier = facilities.strongest;
  if (!options.tier.empty())
    tier = std::min(tier, word<reports::Tier>("--tier", options.tier));
  if (tier == reports::Tier::attached)
    throw UsageError("--tier attached: no replay is, but what pidleak guard --attach watches");
  return tier;
}

template <class E>
void add_condition(CLI::App *command, ReplayOptions *options, const char *name, E Conditions::*member) {
  command
      ->add_option_function<std::string>(
          std::string("--") + name,
          [=](const std::string &text) {
            auto value = word<E>(std::string("--") + name, text);
            options->overrides.push_back([=](Conditions &conditions) { conditions.*member = value; });
          },
          fmt::format("{}", fmt::join(spellings<E>(), ", ")))
      ->type_name("WORD")
      ->group("Conditions, in place of the scenario's own");
}

} // namespace

std::vector<Plan> make_plans(const ReplayOptions &options) {
  std::vector<Plan> plans;
  auto pools = choose_pools(options.pools);
  for (const auto *scenario : chosen_scenarios(options))
    for (auto method : chosen_start_methods(options, *scenario))
      for (const auto &pool : pools)
        for (int i = 0; i < options.repeat; ++i) {
          Plan plan{.scenario = *scenario, .pool = pool, .oom = word<replay::OomMode>("--oom", options.oom)};
          plan.take_stacks = options.stacks;
          auto &conditions = plan.scenario.conditions;
          conditions.workers = options.workers;
          conditions.start_method = method;
          for (const auto &set : options.overrides)
            set(conditions);
          plans.push_back(std::move(plan));
        }
  return plans;
}

Replayed replay_all(const ReplayOptions &options, const std::vector<Plan> &plans) {
  if (!options.report_path.empty())
    check_output("--report", options.report_path);
  auto facilities = replay::find_facilities();
  auto tier = choose_tier(options, facilities);
  auto notes = fmt::format("{}{}", facilities.notes.empty() ? "" : "\n  ", fmt::join(facilities.notes, "\n  "));
  if (!options.require_tier.empty() && tier < word<reports::Tier>("--require-tier", options.require_tier))
    throw TierRefused(fmt::format("tier {} is required, this run has {}{}", options.require_tier, spell(tier), notes));
  Progress progress(plans.size());
  Replayed replayed{
      .reports = replay::run(
          plans, {.facilities = facilities, .tier = tier, .jobs = options.jobs, .on_done = std::cref(progress)}),
      .where = ""};
  if (options.revise)
    options.revise(replayed.reports);
  auto skipped = std::count_if(replayed.reports.begin(), replayed.reports.end(),
                               [](const auto &report) { return report.verdict == reports::Verdict::skipped; });
  replayed.where = fmt::format("{} replay{} at tier {}{}{}", plans.size(), plans.size() == 1 ? "" : "s", spell(tier),
                               skipped ? fmt::format(", {} of them skipped", skipped) : "", notes);
  if (!options.report_path.empty()) {
    reports::write_atomically(options.report_path, reports::to_document(replayed.reports));
    replayed.where += "\nreport: " + options.report_path;
  }
  return replayed;
}

void add_replay_options(CLI::App *command, ReplayOptions *options) {
  command->add_option("SCENARIO", options->scenarios, "Names as `pidleak list` shows them, or: all")->required();
  command
      ->add_option("--pool", options->pools,
                   "Presets, all of them (the default), real pools such as python:3.12 (`pidleak list --pools`), or "
                   "exec:COMMAND")
      ->allow_extra_args(false)
      ->type_name("POOL");
  command->add_option("--start-method", options->start_methods, "fork, spawn, forkserver, or: all")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("METHOD");
  command->add_option("--workers", options->workers, "Workers of the pool")
      ->type_name("N")
      ->check(between(1, 256))
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Replays of each")
      ->type_name("N")
      ->check(between(1, 100000))
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Replays at the same time")
      ->type_name("N")
      ->check(between(1, 64))
      ->capture_default_str();
  command->add_option("--report", options->report_path, "Write the JSON leak report to this file")->type_name("FILE");
  command->add_flag("--json", options->json, "Write the JSON leak report to standard output, and no table");
  command->add_flag("--stacks", options->stacks, "Tell the calls that remaining processes are in (needs elfutils)");
  command->add_option("--oom", options->oom, "real, or sigkill: a plain SIGKILL stands in for the OOM kill")
      ->capture_default_str();
  command->add_option("--require-tier", options->require_tier, "Skip (status 4) where this run would be weaker")
      ->type_name("TIER");
  command->add_option("--tier", options->tier, "Use at most this tier: subreaper, namespace, namespace-cgroup")
      ->type_name("TIER");
  add_condition(command, options, "death", &Conditions::death);
  add_condition(command, options, "victim", &Conditions::victim);
  add_condition(command, options, "sigterm", &Conditions::sigterm);
  add_condition(command, options, "handler-registered", &Conditions::handler_registered);
  add_condition(command, options, "signal-reset", &Conditions::signal_reset);
  add_condition(command, options, "terminate", &Conditions::terminate);
  add_condition(command, options, "queue-slots", &Conditions::queue_slots);
  add_condition(command, options, "queue", &Conditions::queue);
  add_condition(command, options, "tasks", &Conditions::tasks);
  add_condition(command, options, "death-point", &Conditions::death_point);
  add_condition(command, options, "race", &Conditions::race);
}

} // namespace pidleak::cli

// pidleak ablate: switches the conditions of a scenario off and on, and tells which of them it takes.
#include "harness/cli/replays.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/replay/ablation_text.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using replay::Ablation;
using replay::LinkSet;
using replay::Plan;
using replay::Trial;

constexpr std::size_t most_links = 6; // 64 combinations

/// One of the user's plans becomes many: each combination and each cure.
struct Experiment {
  Ablation ablation;
  std::vector<Plan> plans; // of the trials, then of those that are cured
};

Experiment design(const Plan &plan) {
  const auto &conditions = plan.scenario.conditions;
  Experiment experiment;
  auto &ablation = experiment.ablation;
  ablation.title = fmt::format("{} on {} with {}", plan.scenario.name, plan.pool.name, spell(conditions.start_method));
  ablation.links = replay::links_of(conditions);
  ablation.cures = replay::cures_for(conditions);
  if (ablation.links.size() > most_links)
    throw UsageError(fmt::format("{} has {} links, and every combination of them is replayed: at most {} are possible",
                                 ablation.title, ablation.links.size(), most_links));
  auto add = [&](const Conditions &changed) {
    experiment.plans.push_back(plan);
    experiment.plans.back().scenario.conditions = changed;
  };
  for (LinkSet on = 0; on < 1U << ablation.links.size(); ++on) {
    ablation.trials.push_back({.on = on, .replays = {}});
    add(replay::with_links(conditions, ablation.links, on));
  }
  for (const auto &cure : ablation.cures) {
    auto cured = conditions;
    cure.apply(cured);
    ablation.cured.push_back({.on = ~0U, .replays = {}});
    add(cured);
  }
  return experiment;
}

/// Trials of several shards are judged together: what this one has done is in its report.
int tell_part(const ReplayOptions &options, const Replayed &replayed) {
  fmt::print(options.json ? stderr : stdout,
             "{} at {}\nwith the reports of the other shards `pidleak report merge` makes one of them, and ablate "
             "--from tells "
             "what a leak needs\n",
             replayed.count(), replayed.where);
  return 0;
}

int ablate(const ReplayOptions &options) {
  if (options.shard && options.report_path.empty())
    throw UsageError(fmt::format("{}: its trials are judged with those of the others: --report FILE is missing; "
                                 "--shard 1/1 is the whole",
                                 options.shard->text()));
  std::vector<Experiment> experiments;
  for (const auto &plan : make_plans(options))
    experiments.push_back(design(plan));
  std::vector<Plan> plans;
  std::vector<Trial *> trials; // one a plan
  for (auto &[ablation, its_plans] : experiments) {
    plans.insert(plans.end(), its_plans.begin(), its_plans.end());
    for (auto *some : {&ablation.trials, &ablation.cured})
      for (auto &trial : *some)
        trials.push_back(&trial);
  }
  auto replayed = replay_all("ablate", options, plans, [&](std::size_t plan, reports::Report &report) {
    trials[plan]->replays.push_back(report);
  });
  if (auto signal = replayed.ran.interrupted_by)
    throw Interrupted(replayed.count() + ": too few to say what a leak needs", *signal);
  if (options.shard)
    return tell_part(options, replayed);
  std::string text;
  std::vector<Ablation> ablations;
  for (auto &experiment : experiments) {
    text += render_ablation(experiment.ablation) + "\n";
    ablations.push_back(std::move(experiment.ablation));
  }
  if (options.json)
    text = ablations_as_json(ablations);
  else
    text += fmt::format("{} at {}\n", replayed.count(), replayed.where);
  std::fputs(text.c_str(), stdout);
  auto unknown = [](const Ablation &ablation) { return ablation.trials.back().outcome() == replay::Outcome::unknown; };
  if (std::none_of(ablations.begin(), ablations.end(), unknown))
    return 0;
  std::vector<reports::Verdict> verdicts; // why the whole scenario could not be judged
  for (const auto &ablation : ablations)
    for (const auto &whole : ablation.trials.back().replays)
      if (reports::exit_status(whole.verdict) > 1)
        verdicts.push_back(whole.verdict);
  return reports::exit_status(verdicts);
}

} // namespace

Command ablate_verb() {
  auto options = std::make_shared<ReplayOptions>();
  options->repeat = 2; // one that comes out differently was left to chance
  Command command{.name = "ablate",
                  .summary = "Switch each condition of a scenario off and on: which does a leak need?",
                  .options = replay_options(*options),
                  .footer = "Status 0: every combination was tried, whatever the results.\n\n"
                            "Examples:\n"
                            "  pidleak ablate incident --pool cpython36\n"
                            "  pidleak ablate incident --pool python:3.13 --repeat 5 --json",
                  .run = [options](const Given &) {
                    return run_as_shard(*options, [&](const EngineFiles &) { return ablate(*options); });
                  }};
  command.options.push_back(from_option(*options));
  return command;
}

} // namespace pidleak::cli

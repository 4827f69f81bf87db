// pidleak ablate: switches the conditions of a scenario off and on, and tells which of them it takes.
#include "harness/base/json.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/replay/ablation.hpp"
#include "reports/comparison.hpp"
#include "scenarios/scenarios.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using replay::Cure;
using replay::Link;
using replay::LinkSet;
using replay::Plan;
using replay::Trial;

constexpr std::size_t most_links = 6; // 64 combinations

/// Everything that was tried on one pool under one start method.
struct Ablation {
  std::string title;
  std::vector<Link> links;
  std::vector<Trial> trials; // every combination
  std::vector<Cure> cures;
  std::vector<Trial> cured; // the whole scenario with each of them
};

std::string outcome(const Trial &trial) { return reports::describe(reports::Tallies(trial.replays).all()); }

std::string why_unknown(const Trial &trial) {
  return trial.outcome() == replay::Outcome::unknown && !trial.replays.empty()
             ? "  " + reports::printable(trial.replays.front().reason)
             : "";
}

std::string judge(const Trial &cured) {
  switch (cured.outcome()) {
  case replay::Outcome::clean:
    return "breaks the chain";
  case replay::Outcome::stays:
    return "does not help";
  case replay::Outcome::sometimes:
    return "helps by chance only";
  case replay::Outcome::unknown:
    break;
  }
  return "could not be tried";
}

std::string render(const Ablation &ablation) {
  auto text = ablation.title + "\n\n";
  std::vector<std::size_t> widths;
  for (const auto &link : ablation.links) {
    widths.push_back(link.name.size() + 2);
    text += fmt::format("  {:<{}}", link.name, widths.back() - 2);
  }
  text += "  OUTCOME\n";
  for (const auto &trial : ablation.trials) {
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += fmt::format("  {:<{}}", trial.on >> i & 1 ? "on" : "-", widths[i] - 2);
    text += fmt::format("  {}{}\n", outcome(trial), why_unknown(trial));
  }
  text += "\n";
  for (const auto &line : replay::conclude(ablation.links, ablation.trials))
    text += "  " + line + "\n";
  if (!ablation.cured.empty())
    text += "\n  Cures, on the whole chain\n";
  for (std::size_t i = 0; i < ablation.cured.size(); ++i)
    text += fmt::format("    {:<40} {:<20} ({}){}\n", ablation.cures[i].name, judge(ablation.cured[i]),
                        outcome(ablation.cured[i]), why_unknown(ablation.cured[i]));
  return text;
}

nlohmann::ordered_json to_json(const Ablation &ablation) {
  nlohmann::ordered_json json = {{"title", reports::as_utf8(ablation.title)}};
  auto names = [&](LinkSet set) {
    auto list = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < ablation.links.size(); ++i)
      if (set >> i & 1)
        list.push_back(ablation.links[i].name);
    return list;
  };
  json["links"] = names(~0U);
  json["trials"] = nlohmann::ordered_json::array();
  for (const auto &trial : ablation.trials)
    json["trials"].push_back({{"on", names(trial.on)}, {"outcome", outcome(trial)}});
  json["minimal_sets"] = nlohmann::ordered_json::array();
  for (auto set : replay::minimal_sets(ablation.trials))
    json["minimal_sets"].push_back(names(set));
  json["does_not_matter"] = names(replay::links_that_do_not_matter(ablation.trials, ablation.links.size()));
  json["findings"] = replay::conclude(ablation.links, ablation.trials);
  json["cures"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < ablation.cured.size(); ++i)
    json["cures"].push_back({{"cure", ablation.cures[i].name},
                             {"effect", judge(ablation.cured[i])},
                             {"outcome", outcome(ablation.cured[i])}});
  return json;
}

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

int ablate(const ReplayOptions &options) {
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
  auto replayed = replay_all(
      options, plans, [&](std::size_t plan, reports::Report &report) { trials[plan]->replays.push_back(report); });
  if (auto signal = replayed.ran.interrupted_by)
    throw Interrupted(replayed.count() + ": too few to say what a leak needs", *signal);
  std::string text;
  auto json = nlohmann::ordered_json::array();
  bool judged = true;
  for (auto &experiment : experiments) {
    text += render(experiment.ablation) + "\n";
    json.push_back(to_json(experiment.ablation));
    const auto &whole = experiment.ablation.trials.back();
    judged = judged && whole.outcome() != replay::Outcome::unknown;
  }
  if (options.json)
    text = text_of(nlohmann::ordered_json{{"schema_version", reports::schema_version}, {"ablations", json}}, 2) + "\n";
  else
    text += fmt::format("{} at {}\n", replayed.count(), replayed.where);
  std::fputs(text.c_str(), stdout);
  if (judged)
    return 0;
  std::vector<reports::Verdict> verdicts; // why the whole scenario could not be judged
  for (const auto &experiment : experiments)
    for (const auto &whole : experiment.ablation.trials.back().replays)
      if (reports::exit_status(whole.verdict) > 1)
        verdicts.push_back(whole.verdict);
  return reports::exit_status(verdicts);
}

} // namespace

Command ablate_verb() {
  auto options = std::make_shared<ReplayOptions>();
  options->repeat = 2; // one that comes out differently was left to chance
  return {.name = "ablate",
          .summary = "Switch each condition of a scenario off and on: which does a leak need?",
          .options = replay_options(*options),
          .footer = "Status 0: every combination was tried, whatever the results.\n\n"
                    "Examples:\n"
                    "  pidleak ablate incident --pool cpython36\n"
                    "  pidleak ablate incident --pool python:3.13 --repeat 5 --json",
          .run = [options](const Given &) { return ablate(*options); }};
}

} // namespace pidleak::cli

// pidleak compare: scenarios and pools side by side, and presets held against the real pools that they model.
#include "harness/base/json.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/comparison.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Comparison;

struct CompareOptions {
  ReplayOptions replay;
  std::vector<std::string> fidelity; // PRESET=POOL
  std::string markdown_path;
};

using Pair = std::pair<std::string, std::string>;

std::vector<Pair> fidelity_pairs(const CompareOptions &options) {
  std::vector<Pair> pairs;
  for (const auto &text : options.fidelity) {
    auto at = text.find('=');
    if (at == text.npos || at == 0 || at + 1 == text.size())
      throw UsageError(fmt::format("--fidelity {}: is not PRESET=POOL", text));
    pairs.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  return pairs;
}

/// The presets once more, with the order of exits and count that the first run did not have.
Comparison replay_other_order(const ReplayOptions &options, const std::vector<Pair> &pairs) {
  auto again = options;
  again.report_path.clear();
  again.pools.clear();
  for (const auto &[preset, real] : pairs)
    again.pools.push_back(preset);
  auto plans = make_plans(again);
  for (auto &plan : plans) {
    auto &race = plan.scenario.conditions.race;
    race = race == Race::exit_first ? Race::count_first : Race::exit_first;
  }
  return reports::compare(replay_all(again, plans).reports);
}

/// True if every preset does what its real pool does.
bool check_fidelity(const ReplayOptions &options, const Comparison &comparison, const std::vector<Pair> &pairs,
                    std::string &text) {
  auto other_order = replay_other_order(options, pairs);
  bool faithful = true;
  for (const auto &[preset, real] : pairs) {
    int compared = 0;
    auto differences = reports::find_differences(comparison, other_order, preset, real, compared);
    text += fmt::format("\n{} does as {} in {} of {} cells\n", preset, real,
                        compared - static_cast<int>(differences.size()), compared);
    for (const auto &difference : differences)
      text += fmt::format("  {} with {}: {} on {}, {} on {}\n", difference.scenario, difference.start_method,
                          difference.preset_does, preset, difference.real_does, real);
    faithful = faithful && differences.empty() && compared > 0;
  }
  return faithful;
}

int compare(CompareOptions options) {
  auto pairs = fidelity_pairs(options);
  if (!pairs.empty() && options.replay.pools == std::vector<std::string>{"all"})
    options.replay.pools.clear();
  auto &pools = options.replay.pools;
  for (const auto &[preset, real] : pairs)
    for (const auto &pool : {preset, real})
      if (std::find(pools.begin(), pools.end(), pool) == pools.end())
        pools.push_back(pool);
  if (!options.markdown_path.empty())
    check_output("--markdown", options.markdown_path);

  auto replayed = replay_all(options.replay, make_plans(options.replay));
  auto comparison = reports::compare(replayed.reports);
  auto text = options.replay.json ? text_of(reports::comparison_to_json(comparison), 2) + "\n"
                                  : fmt::format("{}\n{}\n", reports::render_comparison(comparison), replayed.where);
  if (!options.markdown_path.empty())
    reports::write_atomically(options.markdown_path, reports::render_comparison_markdown(comparison));
  std::vector<reports::Verdict> verdicts;
  for (const auto &report : replayed.reports)
    verdicts.push_back(report.verdict);
  int status = reports::exit_status(verdicts);
  if (!pairs.empty()) {
    std::string fidelity;
    status = check_fidelity(options.replay, comparison, pairs, fidelity) ? 0 : 1;
    (options.replay.json ? std::fputs(fidelity.c_str(), stderr) : (text += fidelity, 0));
  }
  std::fputs(text.c_str(), stdout);
  return status;
}

} // namespace

Command compare_verb() {
  auto options = std::make_shared<CompareOptions>();
  Command command{
      .name = "compare",
      .summary = "Show scenarios and pools side by side",
      .options = replay_options(options->replay),
      .footer = "Examples:\n"
                "  pidleak compare all --pool python:3.6,python:3.12,hardened\n"
                "  pidleak compare incident --pool python:3.13,loky,billiard --start-method all --markdown table.md\n"
                "  pidleak compare all --fidelity cpython36=python:3.6,cpython312=python:3.13",
      .run = [options](const Given &) { return compare(*options); }};
  command.options.push_back(
      {.name = "--fidelity",
       .into = &options->fidelity,
       .summary = "PRESET=POOL: hold a preset against a real pool; status 1 where they differ, 0 where they do not",
       .value = "PAIR",
       .separated = true});
  command.options.push_back({.name = "--markdown",
                             .into = &options->markdown_path,
                             .summary = "Write the table to this file, as Markdown",
                             .value = "FILE"});
  return command;
}

} // namespace pidleak::cli

// pidleak compare: scenarios and pools side by side, and presets held against the real pools that they model.
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/serve.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/comparison.hpp"
#include "reports/file.hpp"
#include "reports/html.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Comparison;
using reports::Report;
using reports::Tallies;

struct CompareOptions {
  ReplayOptions replay;
  std::vector<std::string> fidelity; // PRESET=POOL
  std::string markdown_path, html_path;
  ServeOptions serve;
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
Replayed replay_other_order(const ReplayOptions &options, const std::vector<Pair> &pairs, Tallies &tallies) {
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
  return replay_all("compare", again, plans, [&](std::size_t, Report &report) { tallies.add(report); });
}

/// True if every preset does what its real pool does.
bool check_fidelity(const Comparison &comparison, const Comparison &other_order, const std::vector<Pair> &pairs,
                    std::string &text) {
  bool faithful = true;
  for (const auto &[preset, real] : pairs) {
    int compared = 0;
    auto differences = reports::find_differences(comparison, other_order, preset, real, compared);
    text += fmt::format("\n{} agrees with {} in {} of {} cells\n", preset, real,
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
  if (!pairs.empty() && options.replay.shard)
    throw UsageError(
        fmt::format("--fidelity: presets and pools are in several shards: not in {}; --shard 1/1 is the whole",
                    options.replay.shard->text()));
  if (!pairs.empty() && !options.replay.from.empty())
    throw UsageError("--fidelity: presets are replayed in another order as well: not with --from");
  if (!pairs.empty() && options.replay.pools == std::vector<std::string>{"all"})
    options.replay.pools.clear();
  auto &pools = options.replay.pools;
  for (const auto &[preset, real] : pairs)
    for (const auto &pool : {preset, real})
      if (std::find(pools.begin(), pools.end(), pool) == pools.end())
        pools.push_back(pool);
  if (!options.markdown_path.empty())
    check_output("--markdown", options.markdown_path);
  if (!options.html_path.empty())
    check_output("--html", options.html_path);

  Tallies tallies, in_other_order;
  auto replayed = replay_all("compare", options.replay, make_plans(options.replay),
                             [&](std::size_t, Report &report) { tallies.add(report); });
  bool hold = !pairs.empty() && !replayed.ran.interrupted_by;
  if (hold)
    replayed.ran.interrupted_by = replay_other_order(options.replay, pairs, in_other_order).ran.interrupted_by;
  auto comparison = reports::compare(tallies);
  auto text = options.replay.json
                  ? reports::comparison_as_json(comparison)
                  : fmt::format("{}\n{} at {}\n", reports::render_comparison(comparison, {.times = true}),
                                replayed.count(), replayed.where);
  if (!options.markdown_path.empty())
    reports::write_atomically(options.markdown_path, reports::render_comparison_markdown(comparison));
  if (!options.html_path.empty())
    reports::write_atomically(options.html_path, reports::render_comparison_html(tallies));
  std::vector<reports::Verdict> verdicts;
  for (auto [verdict, count] : verdicts_of(tallies))
    verdicts.push_back(verdict);
  int status = replayed.has_none() ? 0 : reports::exit_status(verdicts);
  if (hold && !replayed.ran.interrupted_by) {
    std::string fidelity;
    status = check_fidelity(comparison, reports::compare(in_other_order), pairs, fidelity) ? 0 : 1;
    (options.replay.json ? std::fputs(fidelity.c_str(), stderr) : (text += fidelity, 0));
  }
  std::fputs(text.c_str(), stdout);
  return replayed.status(status);
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
                "  pidleak compare all --pool server:gunicorn,server:puma,server:php-fpm --jobs 4\n"
                "  pidleak compare all --fidelity cpython36=python:3.6,cpython312=python:3.13",
      .run = [options](const Given &given) {
        take_served(options->serve, given, options->replay);
        return run_as_shard(options->replay, [&](const EngineFiles &) { return compare(*options); });
      }};
  command.options.push_back(
      {.name = "--fidelity",
       .into = &options->fidelity,
       .summary = "PRESET=POOL: hold a preset against a real pool; status 1 where they differ, 0 where they do not",
       .value = "PAIR",
       .separated = true});
  command.options.push_back(from_option(options->replay));
  command.options.push_back({.name = "--markdown",
                             .into = [options](const std::string &path) { options->markdown_path = output_path(path); },
                             .summary = "Write the table to this file, as Markdown",
                             .value = "FILE"});
  command.options.push_back({.name = "--html",
                             .into = [options](const std::string &path) { options->html_path = output_path(path); },
                             .summary = "Write one HTML page: the table, and every kind of ending in full",
                             .value = "FILE"});
  append(command.options, serve_options(options->serve));
  return command;
}

} // namespace pidleak::cli

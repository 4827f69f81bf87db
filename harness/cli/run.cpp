// pidleak run: replays scenarios and shows the verdicts.
#include "harness/cli/replays.hpp"
#include "reports/terminal.hpp"
#include "scenarios/scenarios.hpp"

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct Options {
  ReplayOptions replay;
  bool expected = false;
};

/// What the scenario says its preset must do, where its conditions were left as they are.
std::string deviation(const Report &report) {
  const auto *scenario = scenarios::find(report.scenario);
  for (const auto &expectation : scenario->expectations) {
    if (expectation.preset != report.pool || spell(expectation.start_method) != report.conditions.at("start-method"))
      continue;
    bool as_expected = expectation.verdict == report.verdict && expectation.live == report.live &&
                       expectation.zombies == report.zombies;
    return as_expected ? ""
                       : fmt::format("{}, {} live, {} zombies", spell(expectation.verdict), expectation.live,
                                     expectation.zombies);
  }
  return "nothing is expected";
}

int run_status(const Options &options, const std::vector<Report> &all) {
  std::vector<reports::Verdict> verdicts;
  for (const auto &report : all) {
    bool judged = report.verdict == reports::Verdict::clean || report.verdict == reports::Verdict::leaked ||
                  report.verdict == reports::Verdict::hung;
    if (options.expected && judged)
      verdicts.push_back(deviation(report).empty() ? reports::Verdict::clean : reports::Verdict::leaked);
    else
      verdicts.push_back(report.verdict);
  }
  return reports::exit_status(verdicts);
}

int run(const Options &options) {
  if (options.expected && (!options.replay.overrides.empty() || options.replay.workers != 4))
    throw UsageError("--expected: a scenario says what is expected of its own conditions and 4 workers only");
  auto [all, where] = replay_all(options.replay, make_plans(options.replay));
  std::string text;
  if (options.replay.json) {
    text = reports::to_document(all);
  } else {
    reports::TerminalOptions terminal{.colour = wants_colour(1), .deviation = {}};
    if (options.expected)
      terminal.deviation = deviation;
    text = fmt::format("{}\n{}\n{}\n", reports::render_details(all, terminal), reports::render_table(all, terminal),
                       where);
  }
  std::fputs(text.c_str(), stdout);
  return run_status(options, all);
}

} // namespace

void add_run(CLI::App &app, int &status) {
  auto options = std::make_shared<Options>();
  auto *command = app.add_subcommand("run", "Replay scenarios and show the verdicts");
  add_replay_options(command, &options->replay);
  command->add_flag("--expected", options->expected,
                    "Judge by what the scenario says each preset must do: status 0 also for a leak that must be there");
  command->footer("Examples:\n"
                  "  pidleak run incident --pool cpython36,hardened --report leak.json\n"
                  "  pidleak run all --pool hardened --start-method all --jobs 2\n"
                  "  pidleak run incident --pool cpython36 --sigterm default    is the leak gone without the handler?\n"
                  "  pidleak run oom-killed-child --oom=sigkill                 without rights to a memory cgroup");
  command->callback([options, &status] { status = run(*options); });
}

} // namespace pidleak::cli

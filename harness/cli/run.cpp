// pidleak run: replays scenarios and shows the verdicts.
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/terminal.hpp"
#include "scenarios/scenarios.hpp"

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct RunOptions {
  ReplayOptions replay;
  Outputs outputs;
  bool expected = false;
  Suppressions suppressions;
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

int run_status(const std::vector<Report> &all, const reports::Deviation &expected) {
  std::vector<reports::Verdict> verdicts;
  for (const auto &report : all) {
    bool compared = expected && reports::was_judged(report);
    bool passed = reports::outcome_of(report, expected) == reports::Outcome::passed;
    verdicts.push_back(!compared ? report.verdict : passed ? reports::Verdict::clean : reports::Verdict::leaked);
  }
  return reports::exit_status(verdicts);
}

int run(RunOptions options) {
  if (options.expected && (!options.replay.overrides.empty() || options.replay.workers != 4))
    throw UsageError("--expected: a scenario says what is expected of its own conditions and 4 workers only");
  options.outputs.json = options.replay.json;
  check_outputs(options.outputs, options.replay.report_path);
  read_suppressions(options.suppressions);
  options.replay.revise = [&](std::vector<Report> &reports) { apply_suppressions(options.suppressions, reports); };
  auto [all, where] = replay_all(options.replay, make_plans(options.replay));
  auto expected = options.expected ? reports::Deviation(deviation) : nullptr;
  std::string text;
  if (options.replay.json) {
    text = reports::to_document(all);
  } else {
    reports::TerminalOptions terminal{.colour = wants_colour(1), .deviation = expected};
    text = fmt::format("{}\n{}\n{}\n", reports::render_details(all, terminal), reports::render_table(all, terminal),
                       where);
  }
  std::fputs(text.c_str(), stdout);
  write_outputs(options.outputs, all, expected);
  return check_suppressions(options.suppressions, all, run_status(all, expected));
}

} // namespace

Command run_verb() {
  auto options = std::make_shared<RunOptions>();
  Command command{
      .name = "run",
      .summary = "Replay scenarios and show the verdicts",
      .options = replay_options(options->replay),
      .footer = "Examples:\n"
                "  pidleak run incident --pool cpython36,hardened --report leak.json\n"
                "  pidleak run all --pool hardened --start-method all --jobs 2\n"
                "  pidleak run all --pool exec:./my-subject --junit leaks.xml --github\n"
                "  pidleak run incident --pool cpython36 --sigterm default    is the leak gone without the handler?\n"
                "  pidleak run oom-killed-child --oom=sigkill                 without rights to a memory cgroup",
      .run = [options](const Given &) { return run(*options); }};
  command.options.push_back(
      {.name = "--expected",
       .into = &options->expected,
       .summary = "Judge by what the scenario says each preset must do: status 0 also for a leak that must be there"});
  append(command.options, suppression_options(options->suppressions));
  append(command.options, output_options(options->outputs));
  return command;
}

} // namespace pidleak::cli

// pidleak run: replays scenarios and shows the verdicts.
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/report_file.hpp"
#include "reports/suppressions.hpp"
#include "reports/terminal.hpp"
#include "scenarios/scenarios.hpp"

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct Options {
  ReplayOptions replay;
  Outputs outputs;
  bool expected = false;
  std::string suppressions_path;
  bool strict_suppressions = false;
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

/// Reads the rules now, and applies them when there is something to apply them to.
void prepare_suppressions(Options &options) {
  const auto &path = options.suppressions_path;
  if (path.empty()) {
    if (options.strict_suppressions)
      throw UsageError("--strict-suppressions: there are none without --suppressions FILE");
    return;
  }
  std::vector<reports::SuppressionRule> rules;
  try {
    rules = reports::parse_suppressions(read_bounded(path, 1 << 20), path);
  } catch (const std::invalid_argument &e) {
    throw UsageError(e.what());
  }
  options.replay.revise = [rules](std::vector<Report> &all) {
    auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
    for (auto &report : all)
      reports::apply(rules, report, today);
  };
}

/// Tells of rules that are good for nothing any more. The status where they are not tolerated.
int check_suppressions(const Options &options, const std::vector<Report> &all, int status) {
  auto stale = reports::stale_rules(all);
  for (const auto &line : stale)
    fmt::print(stderr, "pidleak: {}: {}\n", options.suppressions_path, line);
  return options.strict_suppressions && !stale.empty() && status == 0 ? 1 : status;
}

int run(Options options) {
  if (options.expected && (!options.replay.overrides.empty() || options.replay.workers != 4))
    throw UsageError("--expected: a scenario says what is expected of its own conditions and 4 workers only");
  options.outputs.json = options.replay.json;
  check_outputs(options.outputs);
  prepare_suppressions(options);
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
  return check_suppressions(options, all, run_status(all, expected));
}

} // namespace

void add_run(CLI::App &app, int &status) {
  auto options = std::make_shared<Options>();
  auto *command = app.add_subcommand("run", "Replay scenarios and show the verdicts");
  add_replay_options(command, &options->replay);
  command->add_flag("--expected", options->expected,
                    "Judge by what the scenario says each preset must do: status 0 also for a leak that must be there");
  command
      ->add_option("--suppressions", options->suppressions_path,
                   "Rules in JSON for processes that may remain: {\"suppressions\": [{\"comm\": \"agent*\", "
                   "\"reason\": \"...\"}]}; also command_line, kind, cause, expires")
      ->type_name("FILE");
  command->add_flag("--strict-suppressions", options->strict_suppressions,
                    "Status 1 if a rule has expired or was not used");
  add_output_options(command, &options->outputs);
  command->footer("Examples:\n"
                  "  pidleak run incident --pool cpython36,hardened --report leak.json\n"
                  "  pidleak run all --pool hardened --start-method all --jobs 2\n"
                  "  pidleak run all --pool exec:./my-subject --junit leaks.xml --github\n"
                  "  pidleak run incident --pool cpython36 --sigterm default    is the leak gone without the handler?\n"
                  "  pidleak run oom-killed-child --oom=sigkill                 without rights to a memory cgroup");
  command->callback([options, &status] { status = run(*options); });
}

} // namespace pidleak::cli

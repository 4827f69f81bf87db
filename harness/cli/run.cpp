// pidleak run: replays scenarios and shows the verdicts.
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/serve.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/sweep/faults_to_try.hpp"
#include "reports/terminal.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;
using reports::Tallies;

struct RunOptions {
  ReplayOptions replay;
  Outputs outputs;
  std::string point, fault = "kill"; // a fault at a point of execution
  bool record = false;
  bool expected = false, verbose = false, fail_on_skip = false;
  Suppressions suppressions;
  ServeOptions serve;
};

/// What the scenario says its preset must do, where its conditions were left as they are.
std::string deviation(const Report &report) {
  const auto *expectation = scenarios::expectation_of(report);
  if (!expectation)
    return "nothing is expected";
  bool as_expected = expectation->verdict == report.verdict && expectation->live == report.live &&
                     expectation->zombies == report.zombies;
  return as_expected ? ""
                     : fmt::format("{}, {} live, {} zombies", spell(expectation->verdict), expectation->live,
                                   expectation->zombies);
}

int run_status(const Tallies &tallies, const reports::Deviation &expected, bool fail_on_skip) {
  std::vector<reports::Verdict> verdicts;
  bool skipped = false;
  for (const auto &tally : tallies.all())
    for (const auto &ending : tally.endings) {
      const auto &report = ending.first;
      bool compared = expected && reports::was_judged(report);
      bool passed = reports::outcome_of(report, expected) == reports::Outcome::passed;
      verdicts.push_back(!compared ? report.verdict : passed ? reports::Verdict::clean : reports::Verdict::leaked);
      skipped = skipped || report.verdict == reports::Verdict::skipped;
    }
  auto status = reports::exit_status(verdicts);
  return status == 0 && skipped && fail_on_skip ? reports::exit_status(reports::Verdict::skipped) : status;
}

/// Every plan with the fault at its point: where that is, a recording of the same replay has to say.
std::vector<replay::Plan> with_point(const std::vector<replay::Plan> &plans, const RunOptions &options) {
  auto point = tracing::parse_point(options.point);
  if (!point)
    throw UsageError(fmt::format("--point {}: not a point; it is ROLE:STEP:CALL#K:entry, the same with exit, or "
                                 "ROLE:STEP:EVENT#K, as in worker:shut-down:read#1:entry",
                                 options.point));
  auto fault = tracing::parse_fault(options.fault);
  if (!fault)
    throw UsageError(fmt::format("--fault {}: not known; there are kill, term, oom and errno:NAME", options.fault));
  std::vector<replay::Plan> with_fault;
  for (const auto &plan : plans) {
    auto without_birth = sweep::with_fault(plan, {.point = *point, .birth = {}, .fault = *fault});
    const auto &shard = options.replay.shard;
    if (!options.replay.from.empty() || (shard && !shard->owns(reports::cell_name(replay::described(without_birth))))) {
      with_fault.push_back(std::move(without_birth)); // it is not replayed here
      continue;
    }
    auto recording = replay::run(sweep::recording_of(plan));
    auto found = sweep::fault_at(recording, *point, *fault);
    if (!found && reports::was_judged(recording))
      throw UsageError(fmt::format("--point {}: {} on {} has no such process; --record lists the points", options.point,
                                   plan.scenario.name, plan.pool.name));
    // Where it could not be recorded, the replay itself says why.
    with_fault.push_back(sweep::with_fault(plan, found.value_or(replay::PointFault{.point = *point, .fault = *fault})));
  }
  return with_fault;
}

std::vector<replay::Plan> plans_of(const RunOptions &options) {
  auto plans = make_plans(options.replay);
  if (options.record)
    std::transform(plans.begin(), plans.end(), plans.begin(), sweep::recording_of);
  return options.point.empty() ? plans : with_point(plans, options);
}

int run(RunOptions options) {
  if (options.expected && (!options.replay.overrides.empty() || options.replay.workers != 4))
    throw UsageError("--expected: a scenario says what is expected of its own conditions and 4 workers only");
  check_outputs(options.outputs, options.replay.report_path);
  read_suppressions(options.suppressions);
  Results results;
  bool keep_each = options.outputs.want_each();
  auto replayed = replay_all(
      "run", options.replay, plans_of(options),
      [&](std::size_t, Report &report) {
        apply_suppressions(options.suppressions, report);
        results.tallies.add(report);
        if (keep_each)
          results.each.push_back(report);
      },
      options.replay.json);
  auto expected = options.expected ? reports::Deviation(deviation) : nullptr;
  for (const auto &[option, path] : options.outputs.files)
    replayed.where += fmt::format("\n{}: {}", option.substr(2), path);
  bool stdout_is_taken = options.replay.json || options.outputs.take_stdout(options.replay.report_path);
  if (!options.replay.json) {
    auto *stream = stdout_is_taken ? stderr : stdout;
    reports::TerminalOptions terminal{
        .colour = wants_colour(::fileno(stream)), .deviation = expected, .verbose = options.verbose, .done = done_in};
    fmt::print(stream, "{}\n{}\n{}: {}\n{}\n", reports::render_details(results.tallies, terminal),
               reports::render_table(results.tallies, terminal), replayed.count(),
               reports::render_counts(results.tallies, expected), replayed.where);
  } else if (replayed.ran.interrupted_by) {
    fmt::print(stderr, "pidleak: {}\n", replayed.count());
  }
  write_outputs(options.outputs, results, stdout_is_taken, expected);
  auto status = replayed.has_none() ? 0 : run_status(results.tallies, expected, options.fail_on_skip);
  return replayed.status(check_suppressions(options.suppressions, status));
}

} // namespace

Command run_verb() {
  auto options = std::make_shared<RunOptions>();
  Command command{
      .name = "run",
      .summary = "Replay scenarios and show the verdicts",
      .options = replay_options(options->replay),
      .footer =
          "Examples:\n"
          "  pidleak run incident --pool cpython36,hardened --report leak.json\n"
          "  pidleak run all --pool hardened --start-method all --jobs 2\n"
          "  pidleak run all --pool exec:./my-subject --junit leaks.xml --github\n"
          "  pidleak run incident --pool cpython36 --sigterm default    is the leak gone without the handler?\n"
          "  pidleak run oom-killed-child --oom=sigkill                 without rights to a memory cgroup\n"
          "  pidleak run all --shard 1/8 --report 1.json                the first of 8 parts; the last is 8/8\n"
          "  pidleak run graceful-stop owner-killed --serve 'gunicorn -w 4 app:app' --ready-port 8000 --busy /slow",
      .run = [options](const Given &given) {
        take_served(options->serve, given, options->replay);
        return run_as_shard(options->replay, [&](const EngineFiles &files) {
          if (!files.junit.empty())
            options->outputs.files.try_emplace("--junit", files.junit);
          return run(*options);
        });
      }};
  command.options.push_back({.name = "--point",
                             .into = &options->point,
                             .summary =
                                 "A fault at this point of execution, in place of the scenario's own: as `pidleak "
                                 "sweep` names it, such as worker:shut-down:read#1:entry",
                             .value = "POINT",
                             .group = "Points of execution"});
  command.options.push_back({.name = "--fault",
                             .into = &options->fault,
                             .summary = "The fault at that point: kill, term, oom, or errno:NAME",
                             .value = "FAULT",
                             .shows_default = true,
                             .group = "Points of execution"});
  command.options.push_back({.name = "--record",
                             .into = &options->record,
                             .summary = "Without a fault: list the points of execution in the report",
                             .group = "Points of execution"});
  command.options.push_back(
      {.name = "--expected",
       .into = &options->expected,
       .summary = "Judge by what the scenario says each preset must do: status 0 also for a leak that must be there. "
                  "Only unexpected results are shown in full"});
  command.options.push_back({.name = "-v,--verbose",
                             .into = &options->verbose,
                             .summary = "Show every row in full, not only the first of each kind of ending"});
  command.options.push_back(
      {.name = "--fail-on-skip",
       .into = &options->fail_on_skip,
       .summary = "Status 4 if any replay was skipped, and nothing worse happened; else only if all of them were"});
  command.options.push_back(from_option(options->replay));
  append(command.options, serve_options(options->serve));
  append(command.options, suppression_options(options->suppressions));
  append(command.options, output_options(options->outputs));
  return command;
}

} // namespace pidleak::cli

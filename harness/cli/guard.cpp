// pidleak guard: runs a command and fails if it leaves a process behind.
#include "harness/cli/outputs.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/guard/isolation.hpp"
#include "harness/os/signals.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;
using reports::Verdict;

struct Options {
  guard::Options guard;
  double grace_s = 2, timeout_s = 0, kill_after_s = 5;
  int error_exitcode = 23; // as LeakSanitizer
  std::string report_path, tier = "subreaper", ended;
  Outputs outputs;
  Suppressions suppressions;
  std::time_t started = std::time(nullptr);
};

constexpr char mark = '\x1f';

milliseconds from_seconds(double seconds) { return milliseconds(static_cast<long long>(seconds * 1000)); }

/// Nobody may be there to read it. That must not keep guard from its work, and fmt::print would throw.
template <class... Values>
void say(fmt::format_string<Values...> format, Values &&...values) {
  std::fputs(fmt::format(format, std::forward<Values>(values)...).c_str(), stderr);
}

void describe(Report &report, const Options &options) {
  reports::sign(report, options.started);
  report.scenario = "guard";
  report.pool = fmt::format("{}", fmt::join(options.guard.command, " "));
}

/// What the user reads: nothing, if nothing was left.
void show(const Report &report, bool keep) {
  if (report.verdict == Verdict::broken) {
    say("pidleak guard: {}\n", reports::printable(report.reason));
    return;
  }
  if (report.remaining.empty())
    return;
  say("pidleak guard: {}: {}\n{}{}", reports::printable(report.pool), reports::printable(report.reason),
      reports::remaining_lines(report, "  "), reports::suppression_lines(report, "  "));
  if (keep)
    say("  left alone (--keep)\n");
}

int guard_command(Options &options) {
  std::vector<Report> all;
  bool recorded = !options.report_path.empty() || options.outputs.wanted();
  auto tell = [&](Report &report) {
    os::ignore_sigpipe(); // the command has what it inherits; a reader that is gone must not end guard before the rest
    if (recorded || report.verdict != Verdict::clean)
      describe(report, options);
    all = {report};
    apply_suppressions(options.suppressions, all);
    report = all.front();
    show(report, options.guard.keep);
  };
  auto outcome = guard::run(options.guard, tell);
  if (all.empty()) // it could not be executed
    tell(outcome.report);
  if (!options.report_path.empty())
    reports::write_atomically(options.report_path, reports::to_document(all));
  write_outputs(options.outputs, all);
  if (!options.guard.keep && all.front().verdict == Verdict::leaked)
    say("  {}\n", outcome.ended_all ? "ended" : "not all of them could be ended");
  const auto &command = outcome.command;
  if (command.timed_out)
    say("pidleak guard: the command was ended after {} s\n", options.timeout_s);
  if (command.signal != 0 && !command.timed_out)
    guard::die_of(command.signal);
  if (command.status != 0)
    return command.status;
  int status = all.front().verdict == Verdict::leaked ? options.error_exitcode : 0;
  return check_suppressions(options.suppressions, all, status);
}

int run(Options &options) {
  guard::occupy_standard_streams();
  options.guard.grace = from_seconds(options.grace_s);
  options.guard.limit.kill_after = from_seconds(options.kill_after_s);
  if (!options.ended.empty() && !(options.guard.ended = guard::read_end(options.ended)))
    throw UsageError("--ended is for pidleak itself");
  if (options.timeout_s > 0)
    options.guard.limit.timeout = from_seconds(options.timeout_s);
  if (!options.report_path.empty())
    check_output("--report", options.report_path);
  check_outputs(options.outputs);
  read_suppressions(options.suppressions);
  if (options.tier == "subreaper")
    return guard_command(options);
  if (options.guard.keep)
    throw UsageError("--keep: a PID namespace ends with its guard, and everything in it");
  return guard::in_pid_namespace(options.guard, [&] { return guard_command(options); });
}

} // namespace

std::vector<std::string> keep_whole(std::vector<std::string> arguments) {
  auto first = std::find(arguments.begin(), arguments.end(), "--");
  for (auto at = first == arguments.end() ? arguments.begin() : first; at != arguments.end(); ++at)
    if (at->starts_with('[') || at->starts_with(mark))
      at->insert(0, 1, mark);
  return arguments;
}

void add_guard(CLI::App &app, int &status) {
  auto options = std::make_shared<Options>();
  auto *command = app.add_subcommand("guard", "Run any command, and fail if it leaves a process behind");
  command->add_option("COMMAND", options->guard.command, "The command and its arguments")->required()->type_name("");
  command->add_option("--grace", options->grace_s, "Seconds that processes may take to leave after the command")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command->add_option("--timeout", options->timeout_s, "Seconds after which the command gets SIGTERM; 0: never")
      ->check(CLI::Range(0.0, 1e7));
  command->add_option("-k,--kill-after", options->kill_after_s, "Seconds after which it gets SIGKILL then")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command
      ->add_option("--error-exitcode", options->error_exitcode, "Status if the command's is 0 and something was left")
      ->check(CLI::Range(0, 255))
      ->capture_default_str();
  command
      ->add_option("--tier", options->tier,
                   "namespace: everything ends with the guard, even if that is killed; the command sees other pids")
      ->check(CLI::IsMember({"subreaper", "namespace"}))
      ->capture_default_str();
  command->add_flag("--keep", options->guard.keep, "Report what remains, and leave it alone");
  command->add_option("--report", options->report_path, "Write the JSON leak report to this file")->type_name("FILE");
  command->add_option("--ended", options->ended)->group(""); // for `pidleak` itself, see harness/guard/main.cpp
  add_suppression_options(command, &options->suppressions);
  add_output_options(command, &options->outputs);
  command->positionals_at_end(); // what follows COMMAND is its own, options included
  command->footer("Signals, terminal, streams, environment and exit status pass through. What remains is told on\n"
                  "standard error and ended. Status: the command's, 128+N for signal N; where that is 0 and something\n"
                  "was left, that of --error-exitcode; 124 after a timeout; 126, 127 if it can't be executed.\n\n"
                  "Examples:\n"
                  "  pidleak guard -- make test\n"
                  "  pidleak guard --timeout 600 --junit leaks.xml -- ctest --output-on-failure\n"
                  "  pidleak guard --keep --report left.json -- ./start-server");
  command->callback([options, &status] {
    for (auto &argument : options->guard.command)
      if (argument.starts_with(mark))
        argument.erase(0, 1);
    status = run(*options);
  });
}

} // namespace pidleak::cli

// pidleak guard: runs a command and fails if it leaves a process behind, or watches a service that runs already.
#include "harness/cli/guard_words.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/service.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/guard/attach.hpp"
#include "harness/guard/isolation.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;
using reports::Verdict;

struct Options {
  guard::Options guard;
  double grace_s = 2, timeout_s = 0, kill_after_s = 5, every_s = 1;
  bool watch = false;
  pid_t service = 0;       // 0: a command is run
  int error_exitcode = 23; // as LeakSanitizer
  std::string report_path, tier = "subreaper", ended;
  Outputs outputs;
  Suppressions suppressions;
  std::time_t started = std::time(nullptr);
  Clock::time_point since = Clock::now();
};

constexpr char mark = '\x1f';

milliseconds from_seconds(double seconds) { return milliseconds(static_cast<long long>(seconds * 1000)); }

void describe(Report &report, Options &options, const os::ProcessRef *service) {
  if (service && !service->has_exited()) // it may have executed another program since: its name is that of now
    if (auto now = os::read_command_line(service->pid()); !now.empty())
      options.guard.command = now;
  reports::sign(report, options.started);
  report.scenario = "guard";
  report.total_ms = milliseconds_between(options.since, Clock::now());
  report.pool = command_line_of(options.guard.command);
}

/// Whoever watches a service for weeks wants the report now; but what is no file is written to once, at the end.
/// Nothing that goes wrong here may end the service.
void write_early(const std::string &path, const std::vector<Report> &so_far) {
  std::error_code none_yet;
  auto type = std::filesystem::symlink_status(path, none_yet).type();
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found)
    return;
  try {
    reports::write_atomically(path, reports::to_document(so_far));
  } catch (const os::SyscallError &e) {
    say("pidleak guard: {}\n", e.what());
  }
}

int guard_command(Options &options, const guard::Service *watched = nullptr) {
  const auto *service = watched ? &watched->process : nullptr;
  std::vector<Report> all;
  bool told = false;
  bool recorded = !options.report_path.empty() || options.outputs.wanted();
  auto tell = [&](Report &report) {
    os::ignore_sigpipe(); // the command has what it inherits; a reader that is gone must not end guard before the rest
    if (recorded || report.verdict != Verdict::clean || report.growth)
      describe(report, options, service);
    all = {report};
    apply_suppressions(options.suppressions, all);
    report = all.front();
    told = show(report, options.guard.keep);
  };
  auto tell_growth = [&](Report &report, const std::vector<std::size_t> &news) {
    describe(report, options, service);
    std::vector<Report> so_far = {report};
    apply_suppressions(options.suppressions, so_far);
    if (show_growth(so_far.front(), news) && !options.report_path.empty())
      write_early(options.report_path, so_far);
  };
  auto outcome = watched ? guard::attach(*watched, options.guard, tell, tell_growth)
                         : guard::run(options.guard, tell, tell_growth);
  if (all.empty()) // it could not be executed
    tell(outcome.report);
  if (!options.report_path.empty())
    reports::write_atomically(options.report_path, reports::to_document(all));
  write_outputs(options.outputs, all);
  if (!options.guard.keep && all.front().verdict == Verdict::leaked && !all.front().remaining.empty())
    say("  {}\n", outcome.ended_all ? "ended" : "not all of them could be ended");
  const auto &command = outcome.command;
  if (command.timed_out && !told)
    say("pidleak guard: {}\n", all.front().reason);
  if (command.signal != 0 && !command.timed_out)
    guard::die_of(command.signal);
  if (command.status != 0)
    return command.status;
  auto verdict = all.front().verdict;
  int status = verdict == Verdict::leaked ? options.error_exitcode : reports::exit_status(verdict);
  // One of many that share their rules: a rule that this one has no use for is no news.
  return options.suppressions.strict ? check_suppressions(options.suppressions, all, status) : status;
}

int watch_service(Options &options) {
  auto service = guard::Service::of(find_service(options.service));
  options.guard.command = os::read_command_line(options.service);
  options.guard.keep = true;
  say("pidleak guard: watches pid {} ({}) at tier attached: {}\n", options.service,
      reports::printable(command_line_of(options.guard.command)), fmt::join(service.limits, "; "));
  return guard_command(options, &service);
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
  check_outputs(options.outputs, options.report_path);
  read_suppressions(options.suppressions);
  if (options.watch || options.service != 0)
    options.guard.every = from_seconds(options.every_s);
  if (options.service != 0)
    return watch_service(options);
  if (options.tier == "subreaper")
    return guard_command(options);
  if (options.guard.keep)
    throw UsageError("--keep: a PID namespace ends with its guard, and everything in it");
  guard::in_pid_namespace(options.guard, [&] { return guard_command(options); });
}

/// What the parser can't know.
void check_usage(const CLI::App &command, const Options &options) {
  if (options.guard.command.empty() == (options.service == 0))
    throw UsageError(options.service == 0 ? "guard: what command? (or --attach PID, for a service that runs already)"
                                          : "--attach: there is a command as well; it is one or the other");
  if (command.count("--every") > 0 && !options.watch && options.service == 0)
    throw UsageError("--every: there are no looks without --watch or --attach");
  if (options.service != 0)
    for (const char *option : {"--keep", "--kill-after", "--tier"})
      if (command.count(option) > 0)
        throw UsageError(fmt::format("{}: with --attach nothing is ever ended, nor isolated", option));
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
  command->add_option("COMMAND", options->guard.command, "The command and its arguments")->type_name("");
  command->add_option("--grace", options->grace_s, "How long processes may take to leave after the command")
      ->type_name("SECONDS")
      ->check(between(0.0, 86400.0))
      ->capture_default_str();
  command->add_option("--timeout", options->timeout_s, "When the command gets SIGTERM, or the watching ends; 0: never")
      ->type_name("SECONDS")
      ->check(between(0.0, 1e7));
  command->add_option("-k,--kill-after", options->kill_after_s, "How long after that it gets SIGKILL")
      ->type_name("SECONDS")
      ->check(between(0.0, 86400.0))
      ->capture_default_str();
  command
      ->add_option("--error-exitcode", options->error_exitcode, "Status if the command's is 0 and something was left")
      ->type_name("N")
      ->check(between(0, 255))
      ->capture_default_str();
  command
      ->add_option("--tier", options->tier,
                   "namespace: everything ends with the guard, even if that is killed; the command sees other pids")
      ->check(CLI::IsMember({"subreaper", "namespace"}))
      ->capture_default_str();
  command->add_flag("--keep", options->guard.keep, "Report what remains, and leave it alone");
  command->add_flag("--watch", options->watch, "Tell what accumulates while the command runs; that fails as well");
  command->add_option("--every", options->every_s, "Time between two looks; growth shows after 64 of them")
      ->type_name("SECONDS")
      ->check(between(0.001, 86400.0))
      ->capture_default_str();
  command->add_option("--attach", options->service, "Watch a service that runs already, and only look at it")
      ->type_name("PID")
      ->check(between(1, 4194304));
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
                  "  pidleak guard --keep --report left.json -- ./start-server\n"
                  "  pidleak guard --watch --report growth.json -- gunicorn app:app\n"
                  "  pidleak guard --attach 4711 --timeout 3600");
  command->callback([options, command, &status] {
    for (auto &argument : options->guard.command)
      if (argument.starts_with(mark))
        argument.erase(0, 1);
    check_usage(*command, *options);
    status = run(*options);
  });
}

} // namespace pidleak::cli

// pidleak guard: runs a command and fails if it leaves a process behind, or watches a service that runs already.
#include "harness/cli/guard_words.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/service.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/guard/attach.hpp"
#include "harness/guard/ending_words.hpp"
#include "harness/guard/isolation.hpp"
#include "harness/guard/keeper.hpp"
#include "harness/guard/stand_in.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/document.hpp"
#include "reports/file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;
using reports::Verdict;

struct GuardOptions {
  guard::Options guard;
  double grace_s = 2, end_grace_s = 0.5, timeout_s = 0, kill_after_s = 5, every_s = 1;
  bool watch = false;
  pid_t service = 0; // 0: a command is run
  int error_exitcode = guard::leak_status;
  std::string report_path, tier = "subreaper", left_by;
  int keeper_line = -1, genealogy = -1;
  Outputs outputs;
  Suppressions suppressions;
  std::time_t started = std::time(nullptr);
  Clock::time_point since = Clock::now();
};

milliseconds from_seconds(double seconds) { return milliseconds(static_cast<long long>(std::ceil(seconds * 1000))); }

void describe(Report &report, GuardOptions &options, const os::ProcessRef *service) {
  if (service && !service->has_exited()) // it may have executed another program since: its name is that of now
    if (auto now = os::read_command_line(service->pid()); !now.empty())
      options.guard.command = now;
  reports::sign(report, options.started);
  report.scenario = "guard";
  report.total_ms = milliseconds_between(options.since, Clock::now());
  report.pool = command_line_of(options.guard.command);
}

/// A user who watches a service for weeks wants the report now; but an output that is not a file is written once, at
/// the end. Nothing that goes wrong here may end the service.
void write_early(const std::string &path, const Report &so_far) {
  std::error_code none_yet;
  auto type = std::filesystem::symlink_status(path, none_yet).type();
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found)
    return;
  try {
    reports::write_atomically(path, reports::to_document({so_far}));
  } catch (const os::SyscallError &e) {
    say("pidleak guard: {}\n", e.what());
  }
}

/// What the report says of those that may remain.
void judge(Report &report, GuardOptions &options, const os::ProcessRef *service) {
  os::ignore_sigpipe(); // the command has what it inherits; a reader that is gone must not end guard before the rest
  bool recorded = !options.report_path.empty() || options.outputs.wanted();
  bool has_adopted = report.genealogy && !report.genealogy->adopted.empty();
  if (recorded || has_adopted || report.verdict != Verdict::clean || report.growth || !report.at_timeout.empty())
    describe(report, options, service);
  apply_suppressions(options.suppressions, report);
}

guard::Listener listener_for(GuardOptions &options, const os::ProcessRef *service) {
  return {.judge = [&options, service](Report &report) { judge(report, options, service); },
          .grows =
              [&options, service](Report &report, const std::vector<std::size_t> &news) {
                describe(report, options, service);
                auto uses_so_far = options.suppressions; // those that count are of the last report
                auto so_far = report;
                apply_suppressions(uses_so_far, so_far);
                if (show_growth(so_far, news) && !options.report_path.empty())
                  write_early(options.report_path, so_far);
              },
          .warn =
              [&options](const std::string &what) {
                say("pidleak guard: {}: {}\n", reports::printable(command_line_of(options.guard.command)), what);
              }};
}

/// False: not all could be written, which was said.
bool write_all(const GuardOptions &options, const Report &report) {
  bool written = true;
  auto attempt = [&](const std::function<void()> &write) {
    try {
      write();
    } catch (const std::exception &e) {
      say("pidleak guard: {}\n", e.what());
      written = false;
    }
  };
  if (!options.report_path.empty())
    attempt([&] { reports::write_atomically(options.report_path, reports::to_document({report})); });
  attempt([&] { write_outputs(options.outputs, {.tallies = {report}, .each = {report}}); });
  return written;
}

/// Tells the outcome, and gives the status.
int conclude(GuardOptions &options, const guard::Outcome &outcome) {
  const auto &report = outcome.report;
  bool told = show(report, options.guard.keep);
  if (outcome.ending)
    say("  {}\n", guard::words_of(*outcome.ending));
  bool written = write_all(options, report);
  if (auto hint = report.genealogy ? guard::hint_of(report.genealogy->handed_over) : ""; !hint.empty())
    say("pidleak guard: {}\n", hint);
  const auto &command = outcome.command;
  if (command.timed_out && !told)
    say("pidleak guard: {}\n", report.reason);
  if (command.signal != 0 && !command.timed_out)
    guard::die_of(command.signal);
  if (command.status != 0)
    return command.status;
  int status = report.verdict == Verdict::leaked ? options.error_exitcode : reports::exit_status(report.verdict);
  if (status == 0 && !written)
    return reports::exit_status(Verdict::broken);
  // One of many that share their rules: a rule that this one has no use for is no news.
  return options.suppressions.strict ? check_suppressions(options.suppressions, status) : status;
}

int guard_command(GuardOptions &options) {
  auto listener = listener_for(options, nullptr);
  auto outcome = guard::run(options.guard, listener);
  if (outcome.report.verdict == Verdict::broken) // it was not run to its end, and nothing judged
    listener.judge(outcome.report);
  return conclude(options, outcome);
}

/// As the child of a keeper, which ends what is left and gives the status.
int look_for_keeper(GuardOptions &options) {
  if (!guard::read_end(options.left_by) || options.keeper_line < 0)
    throw UsageError("--left-by is for pidleak itself");
  guard::KeeperLine line(options.keeper_line);
  auto report =
      guard::look_below_parent(options.guard, line.left_to_parent(options.genealogy), listener_for(options, nullptr));
  bool something_is_left = report.verdict == Verdict::leaked;
  auto ending = line.conclude(something_is_left);
  if (something_is_left) {
    show(report, false);
    say("  {}\n", ending);
  }
  return 0;
}

int watch_service(GuardOptions &options) {
  if (auto why = os::why_blind(); !why.empty())
    throw std::runtime_error("guard refuses, and nothing was watched: " + why);
  auto service = guard::Service::of(find_service(options.service));
  options.guard.command = os::read_command_line(options.service);
  options.guard.keep = true;
  say("pidleak guard: watches pid {} ({}) at tier attached: {}\n", options.service,
      reports::printable(command_line_of(options.guard.command)), fmt::join(service.limits, "; "));
  return conclude(options, guard::attach(service, options.guard, listener_for(options, &service.process)));
}

int run(GuardOptions &options) {
  guard::occupy_standard_streams();
  options.guard.grace = from_seconds(options.grace_s);
  options.guard.end_grace = from_seconds(options.end_grace_s);
  options.guard.limit.kill_after = from_seconds(options.kill_after_s);
  if (!options.left_by.empty())
    return look_for_keeper(options);
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
  if (options.tier == "subreaper" && !guard::needs_stand_in())
    return guard_command(options);
  if (options.tier == "subreaper")
    guard::stand_in([&](const guard::Original &original) {
      options.guard.original = original;
      return guard_command(options);
    });
  if (options.guard.keep)
    throw UsageError("--keep: a PID namespace ends with its guard, and everything in it");
  guard::in_pid_namespace(options.guard, [&] { return guard_command(options); });
}

/// What the parser can't know.
void check_usage(const Given &given, const GuardOptions &options) {
  if (options.guard.command.empty() == (options.service == 0))
    throw UsageError(options.service == 0 ? "guard: no command given (or --attach PID, for a running service)"
                                          : "--attach: a command was given as well; give one or the other");
  if (options.guard.keep && given.contains("--end-grace"))
    throw UsageError("--end-grace: --keep ends nothing");
  if (given.contains("--every") && !options.watch && options.service == 0)
    throw UsageError("--every: no samples are taken without --watch or --attach");
  if (options.service != 0)
    for (const char *option : {"--keep", "--kill-after", "--tier", "--end-grace", "--warn-adopted"})
      if (given.contains(option))
        throw UsageError(fmt::format("{}: --attach ends and isolates nothing, and adopts none", option));
}

Option seconds(const char *name, double &into, const char *summary, std::pair<double, double> range) {
  return {
      .name = name, .into = &into, .summary = summary, .value = "SECONDS", .range = range, .shows_default = into != 0};
}

std::vector<Option> options_of(GuardOptions &options) {
  constexpr double day = 86400;
  return {
      {.name = "COMMAND", .into = &options.guard.command, .summary = "The command and its arguments", .value = ""},
      seconds("--grace", options.grace_s, "How long processes may take to leave after the command", {0, day}),
      seconds("--end-grace", options.end_grace_s,
              "How long what remains has to leave after SIGTERM before it gets SIGKILL; 0: SIGKILL at once", {0, day}),
      seconds("--timeout", options.timeout_s, "When the command gets SIGTERM, or the watching ends; 0: never",
              {0, 1e7}),
      seconds("-k,--kill-after", options.kill_after_s, "How long after SIGTERM it gets SIGKILL", {0, day}),
      {.name = "--error-exitcode",
       .into = &options.error_exitcode,
       .summary = "Status if the command's is 0 and a process remained",
       .value = "N",
       .range = {{0, 255}},
       .shows_default = true},
      {.name = "--tier",
       .into = &options.tier,
       .summary = "namespace: everything ends with guard, even if guard is killed; the command sees other pids",
       .value = "TIER",
       .words = {"subreaper", "namespace"},
       .only_words = true,
       .shows_default = true},
      {.name = "--warn-adopted",
       .into = &options.guard.warn_adopted,
       .summary = "Report the orphans that came to guard and ended in time, by name and creator"},
      {.name = "--keep", .into = &options.guard.keep, .summary = "Report what remains, and do not end it"},
      {.name = "--watch",
       .into = &options.watch,
       .summary = "Report what accumulates while the command runs: a leak too, if it still does at the end"},
      seconds("--every", options.every_s, "Time between two samples; growth shows after 64 of them", {0.001, day}),
      {.name = "--attach",
       .into = &options.service,
       .summary = "Watch a running service, and only observe it",
       .value = "PID",
       .range = {{1, 4194304}}},
      {.name = "--report",
       .into = [&options](const std::string &path) { options.report_path = output_path(path); },
       .summary = "Write the JSON leak report to this file",
       .value = "FILE"},
      // For `pidleak` itself, see harness/guard/keeper.hpp.
      {.name = "--left-by", .into = &options.left_by, .summary = "", .hidden = true},
      {.name = "--keeper-line", .into = &options.keeper_line, .summary = "", .hidden = true},
      {.name = "--genealogy", .into = &options.genealogy, .summary = "", .hidden = true},
  };
}

} // namespace

Command guard_verb() {
  auto options = std::make_shared<GuardOptions>();
  Command command{
      .name = "guard",
      .summary = "Run any command, and fail if it leaves a process behind",
      .options = options_of(*options),
      .footer = "Signals, terminal, streams, environment and exit status pass through. What remains is reported on\n"
                "standard error and ended. Status: the command's, 128+N for signal N; where that is 0 and a\n"
                "process remained, that of --error-exitcode; 124 after a timeout; 126, 127 if it can't be executed.\n\n"
                "Examples:\n"
                "  pidleak guard -- make test\n"
                "  pidleak guard --timeout 600 --junit leaks.xml -- ctest --output-on-failure\n"
                "  pidleak guard --keep --report left.json -- ./start-server\n"
                "  pidleak guard --watch --report growth.json -- gunicorn app:app\n"
                "  pidleak guard --attach 4711 --timeout 3600",
      .takes_command = true,
      .run = [options](const Given &given) {
        check_usage(given, *options);
        return run(*options);
      }};
  append(command.options, suppression_options(options->suppressions));
  append(command.options, output_options(options->outputs));
  return command;
}

} // namespace pidleak::cli

#include "harness/cli/guard_run.hpp"

#include "harness/cli/guard_words.hpp"
#include "harness/cli/output_file.hpp"
#include "harness/cli/shell.hpp"
#include "harness/guard/ending_words.hpp"
#include "harness/guard/stand_in.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "reports/document.hpp"
#include "reports/file.hpp"

#include <cmath>

namespace pidleak::cli {

using reports::Report;
using reports::Verdict;

milliseconds from_seconds(double seconds) { return milliseconds(static_cast<long long>(std::ceil(seconds * 1000))); }

Option seconds(const char *name, double &into, const char *summary, std::pair<double, double> range) {
  return {
      .name = name, .into = &into, .summary = summary, .value = "SECONDS", .range = range, .shows_default = into != 0};
}

std::vector<Option> plain_guard_options(GuardRun &run) {
  constexpr double day = 86400;
  return {
      seconds("--grace", run.grace_s, "How long processes may take to leave after the command", {0, day}),
      seconds("--end-grace", run.end_grace_s,
              "How long what remains has to leave after SIGTERM before it gets SIGKILL; 0: SIGKILL at once", {0, day}),
      seconds("--timeout", run.timeout_s, "When the command gets SIGTERM, or the watching ends; 0: never", {0, 1e7}),
      seconds("-k,--kill-after", run.kill_after_s, "How long after SIGTERM it gets SIGKILL", {0, day}),
      {.name = "--error-exitcode",
       .into = &run.error_exitcode,
       .summary = "Status if the command's is 0 and a process remained",
       .value = "N",
       .range = {{0, 255}},
       .shows_default = true},
      {.name = "--report",
       .into = [&run](const std::string &path) { run.report_path = output_path(path); },
       .summary = "Write the JSON leak report to this file",
       .value = "FILE"},
  };
}

void prepare(GuardRun &run) {
  run.guard.grace = from_seconds(run.grace_s);
  run.guard.end_grace = from_seconds(run.end_grace_s);
  run.guard.limit.kill_after = from_seconds(run.kill_after_s);
  if (run.timeout_s > 0)
    run.guard.limit.timeout = from_seconds(run.timeout_s);
  if (!run.report_path.empty())
    check_output("--report", run.report_path);
}

void describe(Report &report, GuardRun &run, const os::ProcessRef *service) {
  if (service && !service->has_exited()) // it may have executed another program since: its name is that of now
    if (auto now = os::read_command_line(service->pid()); !now.empty())
      run.guard.command = now;
  reports::sign(report, run.started);
  report.scenario = "guard";
  report.total_ms = milliseconds_between(run.since, Clock::now());
  report.pool = command_line_of(run.guard.command);
}

namespace {

/// What the report says of those that may remain.
void judge(Report &report, GuardRun &run, Further &further, const os::ProcessRef *service) {
  os::ignore_sigpipe(); // the command has what it inherits; a reader that is gone must not end guard before the rest
  bool recorded = !run.report_path.empty() || further.wants_report();
  if (recorded || reports::has_adopted(report) || report.verdict != Verdict::clean || report.growth ||
      !report.at_timeout.empty())
    describe(report, run, service);
  further.apply(report);
}

/// False: not all could be written, which was said.
bool write_all(const GuardRun &run, const Further &further, const Report &report) {
  bool written = true;
  auto attempt = [&](const std::function<void()> &write) {
    try {
      write();
    } catch (const std::exception &e) {
      say("pidleak guard: {}\n", e.what());
      written = false;
    }
  };
  if (!run.report_path.empty())
    attempt([&] { reports::write_atomically(run.report_path, reports::to_document({report})); });
  attempt([&] { further.write(report); });
  return written;
}

} // namespace

guard::Listener listener_for(GuardRun &run, Further &further, const os::ProcessRef *service) {
  return {.judge = [&run, &further, service](Report &report) { judge(report, run, further, service); },
          .warn =
              [&run](const std::string &what) {
                say("pidleak guard: {}: {}\n", reports::printable(command_line_of(run.guard.command)), what);
              }};
}

int conclude(const GuardRun &run, const Further &further, const guard::Outcome &outcome) {
  const auto &report = outcome.report;
  bool told = show(report, run.guard.keep);
  if (outcome.ending)
    say("  {}\n", guard::words_of(*outcome.ending));
  bool written = write_all(run, further, report);
  if (auto hint = report.genealogy ? guard::hint_of(report.genealogy->handed_over) : ""; !hint.empty())
    say("pidleak guard: {}\n", hint);
  const auto &command = outcome.command;
  if (command.timed_out && !told)
    say("pidleak guard: {}\n", report.reason);
  if (command.signal != 0 && !command.timed_out)
    guard::die_of(command.signal);
  if (command.status != 0)
    return command.status;
  int status = report.verdict == Verdict::leaked ? run.error_exitcode : reports::exit_status(report.verdict);
  if (status == 0 && !written)
    return reports::exit_status(Verdict::broken);
  return further.check(status);
}

int run_here(GuardRun &run, Further &further, const guard::Listener &listener) {
  auto outcome = guard::run(run.guard, listener);
  if (outcome.report.verdict == Verdict::broken) // it was not run to its end, and nothing judged
    listener.judge(outcome.report);
  return conclude(run, further, outcome);
}

int run_command(GuardRun &run, Further &further, const guard::Listener &listener) {
  if (!guard::needs_stand_in())
    return run_here(run, further, listener);
  guard::stand_in([&](const guard::Original &original) {
    run.guard.original = original;
    return run_here(run, further, listener);
  });
}

} // namespace pidleak::cli

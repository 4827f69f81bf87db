// pidleak guard: runs a command and fails if it leaves a process behind, or watches a service that runs already.
#include "harness/cli/guard_run.hpp"
#include "harness/cli/guard_words.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/service.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/suppressions.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/guard/attach.hpp"
#include "harness/guard/isolation.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/document.hpp"
#include "reports/file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;
using reports::Verdict;

/// The renderings, and the rules for what may remain.
struct RulesAndRenderings : Further {
  Outputs outputs;
  Suppressions suppressions;

  bool wants_report() const override { return outputs.wanted(); }
  void apply(Report &report) override { apply_suppressions(suppressions, report); }
  void write(const Report &report) const override { write_outputs(outputs, {.tallies = {report}, .each = {report}}); }
  // One of many that share their rules: a rule that this one has no use for is no news.
  int check(int status) const override {
    return suppressions.strict ? check_suppressions(suppressions, status) : status;
  }
};

struct GuardOptions : GuardRun {
  double every_s = 1;
  bool watch = false;
  pid_t service = 0; // 0: a command is run
  std::string tier = "subreaper", left_by;
  int keeper_line = -1, genealogy = -1;
  RulesAndRenderings further;
};

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

guard::Listener watcher_for(GuardOptions &options, const os::ProcessRef *service) {
  auto listener = listener_for(options, options.further, service);
  listener.grows = [&options, service](Report &report, const std::vector<std::size_t> &news) {
    describe(report, options, service);
    auto uses_so_far = options.further.suppressions; // those that count are of the last report
    auto so_far = report;
    apply_suppressions(uses_so_far, so_far);
    if (show_growth(so_far, news) && !options.report_path.empty())
      write_early(options.report_path, so_far);
  };
  return listener;
}

/// As the child of a keeper, which ends what is left and gives the status.
int look_for_keeper(GuardOptions &options) {
  if (!guard::read_end(options.left_by) || options.keeper_line < 0)
    throw UsageError("--left-by is for pidleak itself");
  guard::KeeperLine line(options.keeper_line);
  auto report = guard::look_below_parent(options.guard, line.left_to_parent(options.genealogy),
                                         listener_for(options, options.further));
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
  return conclude(options, options.further,
                  guard::attach(service, options.guard, watcher_for(options, &service.process)));
}

int run(GuardOptions &options) {
  guard::occupy_standard_streams();
  if (!options.left_by.empty())
    return look_for_keeper(options);
  prepare(options);
  check_outputs(options.further.outputs, options.report_path);
  read_suppressions(options.further.suppressions);
  options.guard.report_lives = options.further.outputs.show_time();
  if (options.watch || options.service != 0)
    options.guard.every = from_seconds(options.every_s);
  if (options.service != 0)
    return watch_service(options);
  auto listener = watcher_for(options, nullptr);
  if (options.tier == "subreaper")
    return run_command(options, options.further, listener);
  if (options.guard.keep)
    throw UsageError("--keep: a PID namespace ends with its guard, and everything in it");
  guard::in_pid_namespace(options.guard, [&] { return run_here(options, options.further, listener); });
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

std::vector<Option> options_of(GuardOptions &options) {
  std::vector<Option> all = {
      {.name = "COMMAND", .into = &options.guard.command, .summary = "The command and its arguments", .value = ""}};
  append(all, plain_guard_options(options));
  append(all,
         {
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
             seconds("--every", options.every_s, "Time between two samples; growth shows after 64 of them",
                     {0.001, 86400}),
             {.name = "--attach",
              .into = &options.service,
              .summary = "Watch a running service, and only observe it",
              .value = "PID",
              .range = {{1, 4194304}}},
             // For `pidleak` itself, see harness/guard/keeper.hpp.
             {.name = "--left-by", .into = &options.left_by, .summary = "", .hidden = true},
             {.name = "--keeper-line", .into = &options.keeper_line, .summary = "", .hidden = true},
             {.name = "--genealogy", .into = &options.genealogy, .summary = "", .hidden = true},
         });
  return all;
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
  append(command.options, suppression_options(options->further.suppressions));
  append(command.options, output_options(options->further.outputs));
  return command;
}

} // namespace pidleak::cli

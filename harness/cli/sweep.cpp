// pidleak sweep: replays with a fault at each point of execution, and tells the classes of points that leave something.
#include "harness/sweep/sweep.hpp"

#include "harness/base/pattern.hpp"
#include "harness/cli/guard_run.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/progress.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/report_file.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/os/signals.hpp"
#include "reports/file.hpp"
#include "reports/html.hpp"
#include "reports/journal.hpp"
#include "reports/junit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct SweepOptions {
  ReplayOptions replay{.scenarios = {"lifetime"}, .workers = 2, .repeat = 5};
  std::vector<std::string> roles = {"worker"}, faults = {"kill"}, steps;
  int sample = 0, tries = 10;
  double budget = 0;
  std::string resume, markdown, html, junit, point;
  replay::CommandPlan command; // in place of a pool
  std::string stop = "TERM";
};

/// One plan, which stands for the command.
std::vector<replay::Plan> plan_of_command(const SweepOptions &options) {
  replay::Plan plan{.oom = word<replay::OomMode>("--oom", options.replay.oom)};
  plan.scenario.name = "command";
  plan.pool.name = command_line_of(options.command.command);
  plan.scenario.conditions.workers = 0;
  plan.command = options.command;
  plan.settle_bound = std::chrono::seconds(2); // for what waits with a timer, which may be for ever
  auto stop = os::signal_of(options.stop);
  if (!stop)
    throw UsageError(fmt::format("--stop {}: not a signal", options.stop));
  plan.command->stop_signal = *stop;
  if (options.command.until_port != 0 && options.replay.jobs > 1)
    throw UsageError("--until-port: two commands can't listen on one port: not with --jobs");
  try {
    Pattern checked(options.command.until_line);
  } catch (const std::invalid_argument &e) {
    throw UsageError(
        fmt::format("--until-line {}: not a regular expression: {}", options.command.until_line, e.what()));
  }
  return {plan};
}

/// A role means its first process, and `helper` all of them.
tracing::Actor actor_of(const std::string &text) {
  auto actor = tracing::parse_actor(text);
  if (!actor)
    refuse_word("--role", text, spellings<tracing::Role>());
  return *actor;
}

std::vector<std::string> checked_faults(const std::vector<std::string> &faults) {
  for (const auto &fault : faults)
    if (fault != "errno" && !tracing::parse_fault(fault))
      refuse_word("--fault", fault, {"kill", "term", "oom", "errno"});
  return faults;
}

sweep::Choice choice_of(const SweepOptions &options) {
  sweep::Choice choice{
      .actors = {}, .faults = checked_faults(options.faults), .steps = options.steps, .sample = options.sample};
  for (const auto &role : options.roles)
    choice.actors.push_back(actor_of(role));
  for (const auto &step : choice.steps)
    if (!parse_spelling<replay::CommandStep>(step))
      word<replay::Step>("--steps", step);
  choice.point = options.point;
  if (!options.point.empty()) {
    auto point = tracing::parse_point(options.point);
    if (!point)
      throw UsageError(fmt::format("--point {}: not a point", options.point));
    choice.actors = {point->actor};
  }
  return choice;
}

/// Where the reports go as they come.
class Results {
public:
  Results(const SweepOptions &options, const reports::DocumentHead &head) : options_(options.replay), document_(head) {
    if (!options.resume.empty())
      resume(options.resume, head);
    const auto &path = options_.report_path;
    if (path.empty())
      return;
    check_output("--report", path);
    if (!is_regular_or_new(path))
      return;
    bool goes_on = path == options.resume;
    if (goes_on)
      journal_.emplace(path, whole_.size, whole_.reports.empty());
    else
      journal_.emplace(path, head);
    for (const auto &report : goes_on ? std::vector<Report>() : whole_.reports)
      journal_->add(report);
  }

  const std::vector<Report> &earlier() const { return whole_.reports; }

  void add(Report report) {
    if (!reports::shows_defect(report)) { // thousands of them
      report.timeline.clear();
      report.subject_stderr.clear();
    }
    if (journal_)
      journal_->add(report);
    if (wants_document())
      document_.add(report);
  }

  void finish(const std::vector<reports::Sweep> &sweeps) {
    if (journal_)
      journal_->finish(sweeps);
    if (!wants_document())
      return;
    auto content = document_.finish(sweeps);
    if (!options_.report_path.empty() && !journal_)
      reports::write_atomically(options_.report_path, content);
    if (options_.json)
      reports::write_atomically("/dev/stdout", content);
  }

private:
  bool wants_document() const { return options_.json || (!options_.report_path.empty() && !journal_); }

  void resume(const std::string &path, const reports::DocumentHead &wanted) {
    try {
      whole_ = reports::see_what_is_whole(read_report_text(path));
    } catch (const std::invalid_argument &e) {
      throw UsageError(fmt::format("--resume {}: {}", path, reports::printable(e.what())));
    }
    const auto &its = whole_.head.shard, &ours = wanted.shard;
    if (its.has_value() != ours.has_value() || (its && !is_same_part(*its, *ours)))
      throw UsageError(fmt::format("--resume {}: it is of {}, and this is {}", path, part_text(its), part_text(ours)));
    if (options_.json)
      for (const auto &report : whole_.reports)
        document_.add(report);
  }

  static bool is_same_part(const reports::ShardHead &a, const reports::ShardHead &b) {
    return a.shard.index == b.shard.index && a.shard.count == b.shard.count && a.plan == b.plan;
  }
  static std::string part_text(const std::optional<reports::ShardHead> &head) {
    return head ? fmt::format("shard {} of {} of plan {}", head->shard.index, head->shard.count, head->plan)
                : "a whole sweep";
  }

  const ReplayOptions &options_;
  reports::WholeReports whole_;
  std::optional<reports::Journal> journal_;
  reports::GrowingDocument document_;
};

/// The command that replays the earliest point of a class once more.
std::string line_for(const SweepOptions &options, const reports::Sweep &sweep, const reports::SweepClass &one) {
  const auto &its_fault = *one.first.point_fault;
  if (!options.command.command.empty()) {
    const auto &command = options.command;
    auto until = fmt::format("{}{}{}", command.until_port ? fmt::format(" --until-port {}", command.until_port) : "",
                             command.until_file.empty() ? "" : " --until-file " + shell_quoted(command.until_file),
                             command.until_line.empty() ? "" : " --until-line " + shell_quoted(command.until_line));
    return fmt::format("pidleak sweep --fault {} --point {}{}{} -- {}", its_fault.fault, its_fault.point, until,
                       options.stop == "TERM" ? "" : " --stop " + options.stop, sweep.recording().pool);
  }
  return replay_line(sweep, one);
}

/// All that decides what is tried, as text: shards of one sweep have the same.
std::vector<std::string> plan_texts(const SweepOptions &options, const std::vector<replay::Plan> &plans) {
  std::vector<std::string> texts = {fmt::format("role {} fault {} steps {} sample {} tries {} point {}",
                                                fmt::join(options.roles, ","), fmt::join(options.faults, ","),
                                                fmt::join(options.steps, ","), options.sample, options.tries,
                                                options.point),
                                    fmt::format("until {} {} {} stop {}", options.command.until_port,
                                                options.command.until_file, options.command.until_line, options.stop)};
  for (const auto &plan : plans)
    texts.push_back(reports::cell_name(replay::described(plan)));
  return texts;
}

int sweep_pools(SweepOptions options) {
  if (!options.resume.empty() && options.replay.report_path.empty() && !options.replay.json)
    options.replay.report_path = options.resume;
  bool is_command = !options.command.command.empty();
  if (!is_command && options.command.is_awaited())
    throw UsageError("--until-line, --until-file and --until-port are for a command, which follows after --");
  if (is_command && options.roles == std::vector<std::string>{"worker"})
    options.roles = {"command"};
  auto plans = is_command ? plan_of_command(options) : make_plans(options.replay);
  for (const auto &plan : plans)
    if (plan.scenario.conditions.race == Race::count_first)
      throw UsageError("--race count-first traces the victim by itself, and can't be swept");
  sweep::Options how{.choice = choice_of(options),
                     .repeat = options.replay.repeat,
                     .tries = options.tries,
                     .shard = options.replay.shard};
  for (const auto &[option, path] : {std::pair("--markdown", options.markdown), std::pair("--html", options.html),
                                     std::pair("--junit", options.junit)})
    if (!path.empty())
      check_output(option, path);
  auto place = find_place(options.replay);
  how.run = {.facilities = place.facilities, .tier = place.tier, .jobs = options.replay.jobs};
  if (options.budget > 0)
    how.run.is_over = [over = Deadline::after(from_seconds(options.budget))] { return over.passed(); };
  Results results(options, head_of(options.replay, "sweep", plan_texts(options, plans)));
  announce_shard(options.replay, "each shard records anew, and tries its own of the points");
  sweep::Swept swept;
  {
    Progress progress;
    how.on_progress = [&](std::size_t done, std::size_t expected) {
      auto rate = static_cast<double>(done) / progress.seconds();
      if (done > 0)
        progress.show(fmt::format("[{}/{}] {:.1f} replays a second, {:.0f} s left", done, expected, rate,
                                  static_cast<double>(expected - done) / rate));
    };
    swept = sweep::run(plans, how, results.earlier(), [&](const Report &report) { results.add(report); });
  }
  results.finish(swept.sweeps);
  auto line = [&](const auto &sweep, const auto &one) { return line_for(options, sweep, one); };
  auto *stream = options.replay.json || options.replay.report_path == "/dev/stdout" ? stderr : stdout;
  fmt::print(stream, "{}{}\n", reports::render_sweeps(swept.sweeps, line), place.text);
  if (!options.replay.report_path.empty())
    fmt::print(stream, "report: {}\n", options.replay.report_path);
  if (!options.markdown.empty())
    reports::write_atomically(options.markdown, reports::render_sweeps_as_markdown(swept.sweeps, line));
  if (!options.html.empty())
    reports::write_atomically(options.html, reports::render_html(swept.sweeps, line));
  if (!options.junit.empty()) {
    std::vector<Report> cases;
    for (const auto &sweep : swept.sweeps)
      for (auto &one : reports::as_cases(sweep))
        cases.push_back(std::move(one));
    reports::write_atomically(options.junit, reports::render_junit(cases, {}));
  }
  auto go_on = options.replay.report_path.empty() ? std::string()
                                                  : fmt::format("; --resume {} goes on", options.replay.report_path);
  if (swept.interrupted_by) {
    fmt::print(stderr, "pidleak: interrupted by {}{}\n", os::signal_name(*swept.interrupted_by), go_on);
    return 128 + *swept.interrupted_by;
  }
  if (swept.is_over_budget)
    fmt::print(stream, "the budget of {} s is spent{}\n", options.budget, go_on);
  return reports::exit_status(swept.sweeps);
}

/// What run has, but for what a sweep does in its own way.
std::vector<Option> options_of_replays(ReplayOptions &replay) {
  auto options = replay_options(replay);
  for (auto &option : options) {
    if (option.name == "SCENARIO") {
      option.required = false;
      option.summary = "Names as `pidleak list` shows them; lifetime, if none is given";
    } else if (option.name == "--repeat") {
      option.summary = "Replays of a point that leaves something, to say how often";
    } else if (option.name == "--report") {
      option.summary = "Write the JSON report to this file, as the replays come: --resume goes on with it";
    }
  }
  return options;
}

} // namespace

std::string replay_line(const reports::Sweep &sweep, const reports::SweepClass &one) {
  const auto &recording = sweep.recording();
  const auto &its_fault = *one.first.point_fault;
  if (recording.workers == 0) // a command
    return fmt::format("pidleak sweep --fault {} --point {} -- {}", its_fault.fault, its_fault.point, recording.pool);
  auto words = run_words(recording);
  words.insert(words.end(), {"--point", its_fault.point, "--fault", its_fault.fault});
  auto [place, failed] = *one.points.begin();
  if (failed < sweep.points()[place].reached) // not each replay shows it
    words.insert(words.end(), {"--repeat", "20"});
  return command_line_of(words);
}

Command sweep_verb() {
  auto options = std::make_shared<SweepOptions>();
  Command command{
      .name = "sweep",
      .summary = "Replay with a fault at every point of execution: where does the pool lose its children?",
      .options = options_of_replays(options->replay),
      .footer =
          "A point is ROLE:STEP:CALL#K:entry or exit: before or after the K-th call of that name in that step of the\n"
          "replay; or ROLE:STEP:EVENT#K, with fork (before its first instruction), exec and exit.\n\n"
          "Exit status: 1 if any point leaves something, 3 if less than 95 % of them could be reached.\n\n"
          "Examples:\n"
          "  pidleak sweep --pool python:3.13 --jobs 2 --report sweep.json\n"
          "  pidleak sweep --pool hardened --role worker,owner,helper --fault kill,term,errno\n"
          "  pidleak sweep --pool exec:./my-subject --sample 50\n"
          "  pidleak sweep --fault term --until-port 8000 -- python3 -m http.server    does it stop whole, whenever "
          "asked?\n"
          "  pidleak sweep --pool hardened --shard 3/8 --report 3.json        the third of 8 parts; `pidleak report "
          "merge`\n"
          "  pidleak sweep --pool python --role owner --budget 10m --report sweep.json\n"
          "  pidleak sweep --pool python --role owner --resume sweep.json      goes on where that ended",
      .run = [options](const Given &) {
        return run_as_shard(options->replay, [&](const EngineFiles &files) {
          if (options->junit.empty())
            options->junit = files.junit;
          return sweep_pools(*options);
        });
      }};
  append(command.options,
         {{.name = "--role",
           .into = &options->roles,
           .summary = "Whose points: worker (the first of them; worker#2), owner, helper (each of them)",
           .value = "ROLE",
           .words = spellings<tracing::Role>(),
           .shows_default = true,
           .separated = true,
           .group = "What is tried"},
          {.name = "--fault",
           .into = &options->faults,
           .summary = "kill, term, oom, errno (every error that suits the call), or errno:NAME",
           .value = "FAULT",
           .words = {"kill", "term", "oom", "errno"},
           .shows_default = true,
           .separated = true,
           .group = "What is tried"},
          {.name = "--steps",
           .into = &options->steps,
           .summary = "Points of these steps alone",
           .value = "STEP",
           .words = spellings<replay::Step>(),
           .separated = true,
           .group = "What is tried"},
          {.name = "--sample",
           .into = &options->sample,
           .summary = "So many of the points, chosen by their names",
           .value = "N",
           .range = {{1, 1000000}},
           .group = "What is tried"},
          {.name = "--tries",
           .into = &options->tries,
           .summary = "Replays to come to a point, before it is given up",
           .value = "N",
           .range = {{1, 1000}},
           .shows_default = true,
           .group = "What is tried"},
          {.name = "--budget",
           .into = &options->budget,
           .summary = "Begin no replay after that time",
           .value = "SECONDS",
           .group = "What is tried"},
          {.name = "--resume",
           .into = &options->resume,
           .summary = "Go on with the sweep whose report this is; it is gone on in, if no other --report is named",
           .value = "FILE",
           .group = "What is tried"},
          {.name = "--point",
           .into = &options->point,
           .summary = "This point alone",
           .value = "POINT",
           .group = "What is tried"},
          {.name = "--until-port",
           .into = &options->command.until_port,
           .summary = "The command is ready when a socket listens on this port; then it is stopped",
           .value = "N",
           .range = {{1, 65535}},
           .group = "A command in place of a pool, after --"},
          {.name = "--until-file",
           .into = &options->command.until_file,
           .summary = "It is ready when this file is there",
           .value = "PATH",
           .group = "A command in place of a pool, after --"},
          {.name = "--until-line",
           .into = &options->command.until_line,
           .summary = "It is ready when a line of its output matches",
           .value = "REGEX",
           .group = "A command in place of a pool, after --"},
          {.name = "--stop",
           .into = &options->stop,
           .summary = "What asks it to stop when it is ready",
           .value = "SIGNAL",
           .shows_default = true,
           .group = "A command in place of a pool, after --"},
          {.name = "--markdown",
           .into = [options](const std::string &path) { options->markdown = output_path(path); },
           .summary = "Write the classes as Markdown to this file",
           .value = "FILE",
           .group = "Renderings"},
          {.name = "--html",
           .into = [options](const std::string &path) { options->html = output_path(path); },
           .summary = "Write one HTML page to this file: a strip of each process, its calls along time",
           .value = "FILE",
           .group = "Renderings"},
          {.name = "--junit",
           .into = [options](const std::string &path) { options->junit = output_path(path); },
           .summary = "Write JUnit XML to this file: a case for each class, and one for the coverage",
           .value = "FILE",
           .group = "Renderings"}});
  command.command_after_dashes = &options->command.command;
  return command;
}

} // namespace pidleak::cli

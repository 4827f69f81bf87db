// pidleak run: replays scenarios and shows the verdicts.
#include "harness/replay/run.hpp"

#include "harness/cli/pools.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/terminal.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>

namespace pidleak::cli {
namespace {

using replay::Plan;
using reports::Report;

struct Options {
  std::vector<std::string> scenarios, pools = {"all"}, start_methods;
  std::vector<std::function<void(Conditions &)>> overrides; // those that were given
  int workers = 4, repeat = 1, jobs = 1;
  std::string report_path, require_tier, tier, oom = "real";
  bool json = false, expected = false;
};

template <class E>
E word(const std::string &option, const std::string &text) {
  if (auto value = parse_spelling<E>(text))
    return *value;
  throw UsageError(fmt::format("{} {}: not known{}", option, text, suggestion(text, spellings<E>())));
}

std::vector<const replay::Scenario *> chosen_scenarios(const Options &options) {
  std::vector<const replay::Scenario *> chosen;
  for (const auto &name : options.scenarios) {
    if (name == "all")
      return scenarios::all();
    const auto *scenario = scenarios::find(name);
    if (!scenario) {
      std::vector<std::string> names;
      for (const auto *known : scenarios::all())
        names.push_back(known->name);
      throw UsageError(fmt::format("there is no scenario \"{}\"{}", name, suggestion(name, names)));
    }
    chosen.push_back(scenario);
  }
  return chosen;
}

std::vector<StartMethod> chosen_start_methods(const Options &options, const replay::Scenario &scenario) {
  if (options.start_methods.empty())
    return scenario.start_methods;
  std::vector<StartMethod> methods;
  for (const auto &name : options.start_methods) {
    if (name == "all")
      return {StartMethod::fork, StartMethod::spawn, StartMethod::forkserver};
    methods.push_back(word<StartMethod>("--start-method", name));
  }
  return methods;
}

std::vector<Plan> make_plans(const Options &options) {
  std::vector<Plan> plans;
  auto pools = choose_pools(options.pools);
  for (const auto *scenario : chosen_scenarios(options))
    for (auto method : chosen_start_methods(options, *scenario))
      for (const auto &pool : pools)
        for (int i = 0; i < options.repeat; ++i) {
          Plan plan{.scenario = *scenario, .pool = pool, .oom = word<replay::OomMode>("--oom", options.oom)};
          auto &conditions = plan.scenario.conditions;
          conditions.workers = options.workers;
          conditions.start_method = method;
          for (const auto &set : options.overrides)
            set(conditions);
          plans.push_back(std::move(plan));
        }
  return plans;
}

/// Shows on a terminal's standard error how far a long run is.
class Progress {
public:
  explicit Progress(std::size_t total) : total_(total), shown_(total > 1 && ::isatty(2)) {}
  ~Progress() {
    if (shown_)
      std::fputs("\r\x1b[K", stderr);
  }
  void operator()(std::size_t done, const Report &report) const {
    if (shown_)
      std::fprintf(stderr, "\r\x1b[K[%zu/%zu] %s on %s: %s", done, total_, report.scenario.c_str(), report.pool.c_str(),
                   spell(report.verdict).c_str());
  }

private:
  std::size_t total_;
  bool shown_;
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

reports::Tier choose_tier(const Options &options, const replay::Facilities &facilities) {
  auto tier = facilities.strongest;
  if (!options.tier.empty())
    tier = std::min(tier, word<reports::Tier>("--tier", options.tier));
  return tier;
}

void check(const Options &options) {
  // CLI11's range check has no say over the product of all of them.
  if (options.expected && (!options.overrides.empty() || options.workers != 4))
    throw UsageError("--expected: a scenario says what is expected of its own conditions and 4 workers only");
  if (!options.require_tier.empty())
    word<reports::Tier>("--require-tier", options.require_tier);
  if (!options.report_path.empty())
    try {
      reports::check_writable(options.report_path);
    } catch (const os::SyscallError &e) {
      throw UsageError(fmt::format("--report {}: can't be written: {}", options.report_path, e.what()));
    }
}

int run(const Options &options) {
  check(options);
  auto plans = make_plans(options);
  auto facilities = replay::find_facilities();
  auto tier = choose_tier(options, facilities);
  if (!options.require_tier.empty() && tier < *parse_spelling<reports::Tier>(options.require_tier)) {
    std::fprintf(stderr, "pidleak: skipped: tier %s is required, this run has %s\n", options.require_tier.c_str(),
                 spell(tier).c_str());
    for (const auto &note : facilities.notes)
      std::fprintf(stderr, "pidleak:   %s\n", note.c_str());
    return 4;
  }
  std::vector<Report> all;
  {
    Progress progress(plans.size());
    all = replay::run(plans,
                      {.facilities = facilities, .tier = tier, .jobs = options.jobs, .on_done = std::cref(progress)});
  }
  if (!options.report_path.empty())
    reports::write_atomically(options.report_path, reports::to_document(all));
  std::string text;
  if (options.json) {
    text = reports::to_document(all);
  } else {
    reports::TerminalOptions terminal{.colour = wants_colour(1), .deviation = {}};
    if (options.expected)
      terminal.deviation = deviation;
    text = reports::render_details(all, terminal) + "\n" + reports::render_table(all, terminal);
    text += fmt::format("\n{} replay{} at tier {}", all.size(), all.size() == 1 ? "" : "s", spell(tier));
    for (const auto &note : facilities.notes)
      text += "\n  " + note;
    if (!options.report_path.empty())
      text += "\nreport: " + options.report_path;
    text += "\n";
  }
  std::fputs(text.c_str(), stdout);
  return run_status(options, all);
}

template <class E>
void add_condition(CLI::App *command, Options *options, const char *name, E Conditions::*member) {
  command
      ->add_option_function<std::string>(
          std::string("--") + name,
          [=](const std::string &text) {
            auto value = word<E>(std::string("--") + name, text);
            options->overrides.push_back([=](Conditions &conditions) { conditions.*member = value; });
          },
          fmt::format("{}", fmt::join(spellings<E>(), ", ")))
      ->type_name("WORD")
      ->group("Conditions, in place of the scenario's own");
}

} // namespace

void add_run(CLI::App &app, int &status) {
  auto options = std::make_shared<Options>();
  auto *command = app.add_subcommand("run", "Replay scenarios and show the verdicts");
  command->add_option("SCENARIO", options->scenarios, "Names as `pidleak list` shows them, or: all")->required();
  command->add_option("--pool", options->pools, "Presets, all of them (the default), or exec:COMMAND, see PROTOCOL.md")
      ->allow_extra_args(false)
      ->type_name("POOL");
  command->add_option("--start-method", options->start_methods, "fork, spawn, forkserver, or: all")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("METHOD");
  command->add_option("--workers", options->workers, "Workers of the pool")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Replays of each")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Replays at the same time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--report", options->report_path, "Write the JSON leak report to this file")->type_name("FILE");
  command->add_flag("--json", options->json, "Write the JSON leak report to standard output, and no table");
  command->add_flag("--expected", options->expected,
                    "Judge by what the scenario says each preset must do: status 0 also for a leak that must be there");
  command->add_option("--oom", options->oom, "real, or sigkill: a plain SIGKILL stands in for the OOM kill")
      ->capture_default_str();
  command->add_option("--require-tier", options->require_tier, "Skip (status 4) where this run would be weaker")
      ->type_name("TIER");
  command->add_option("--tier", options->tier, "Use at most this tier: subreaper, namespace, namespace-cgroup")
      ->type_name("TIER");
  add_condition(command, options.get(), "death", &Conditions::death);
  add_condition(command, options.get(), "victim", &Conditions::victim);
  add_condition(command, options.get(), "sigterm", &Conditions::sigterm);
  add_condition(command, options.get(), "handler-registered", &Conditions::handler_registered);
  add_condition(command, options.get(), "signal-reset", &Conditions::signal_reset);
  add_condition(command, options.get(), "queue", &Conditions::queue);
  add_condition(command, options.get(), "tasks", &Conditions::tasks);
  add_condition(command, options.get(), "death-point", &Conditions::death_point);
  add_condition(command, options.get(), "race", &Conditions::race);
  command->footer("Examples:\n"
                  "  pidleak run incident --pool cpython36,hardened --report leak.json\n"
                  "  pidleak run all --pool hardened --start-method all --jobs 2\n"
                  "  pidleak run incident --pool cpython36 --sigterm default    is the leak gone without the handler?\n"
                  "  pidleak run oom-killed-child --oom=sigkill                 without rights to a memory cgroup");
  command->callback([options, &status] { status = run(*options); });
}

} // namespace pidleak::cli

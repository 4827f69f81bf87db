#include "harness/cli/replays.hpp"

#include "harness/base/stable_hash.hpp"
#include "harness/base/suggestion.hpp"
#include "harness/cli/output_file.hpp"
#include "harness/cli/outputs.hpp"
#include "harness/cli/pools.hpp"
#include "harness/cli/report_file.hpp"
#include "harness/os/signals.hpp"
#include "harness/pool/behaviour.hpp"
#include "reports/document.hpp"
#include "reports/file.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <set>

namespace pidleak::cli {

using replay::Plan;
using replay::SubjectKind;
using reports::Report;

namespace {

std::vector<std::string> with(std::vector<std::string> words, const std::string &another) {
  words.push_back(another);
  return words;
}

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto *scenario : scenarios::all())
    names.push_back(scenario->name);
  return names;
}

std::vector<const replay::Scenario *> chosen_scenarios(const ReplayOptions &options) {
  std::vector<const replay::Scenario *> chosen;
  for (const auto &name : options.scenarios) {
    if (name == "all")
      return scenarios::all();
    const auto *scenario = scenarios::find(name);
    if (!scenario) {
      throw UsageError(fmt::format("there is no scenario \"{}\"{}", name, suggestion(name, scenario_names())));
    }
    chosen.push_back(scenario);
  }
  return chosen;
}

std::vector<StartMethod> chosen_start_methods(const ReplayOptions &options, const replay::Scenario &scenario) {
  if (options.start_methods.empty())
    return scenario.start_methods;
  std::vector<StartMethod> methods;
  for (const auto &name : options.start_methods) {
    if (name == "all")
      return all_of<StartMethod>();
    methods.push_back(word<StartMethod>("--start-method", name));
  }
  return methods;
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

reports::Tier choose_tier(const ReplayOptions &options, const replay::Facilities &facilities) {
  auto tier = facilities.strongest;
  if (!options.tier.empty())
    tier = std::min(tier, word<reports::Tier>("--tier", options.tier));
  if (tier == reports::Tier::attached)
    throw UsageError("--tier attached: not for replays; it is the tier of pidleak guard --attach");
  return tier;
}

/// Sets the condition of that name. `text` is a word of it, or throws UsageError.
void set_condition(Conditions &conditions, const std::string &wanted, const std::string &text) {
  for_each_condition(conditions, [&]<class E>(const char *name, E &member) {
    if (name == wanted)
      member = word<E>("--" + wanted, text);
  });
}

/// One for each condition, but for the start method, which may be several.
std::vector<Option> condition_options(ReplayOptions &options) {
  std::vector<Option> all;
  Conditions defaults;
  for_each_condition(defaults, [&]<class E>(const char *name, E &) {
    if constexpr (!std::is_same_v<E, StartMethod>)
      all.push_back({.name = fmt::format("--{}", name),
                     .into =
                         [&options, name](const std::string &text) {
                           Conditions scratch;
                           set_condition(scratch, name, text);
                           options.overrides.push_back(
                               [=](Conditions &conditions) { set_condition(conditions, name, text); });
                         },
                     .summary = fmt::format("{}", fmt::join(spellings<E>(), ", ")),
                     .value = "WORD",
                     .words = spellings<E>(),
                     .group = "Conditions, in place of the scenario's own"});
  });
  return all;
}

/// No replay is attached to anything.
std::vector<std::string> replay_tiers() {
  auto tiers = spellings<reports::Tier>();
  std::erase(tiers, spell(reports::Tier::attached));
  return tiers;
}

/// Of several things that its workers may do, those that it is known how to make them do; where there is but one, the
/// replay says why not.
bool can_be(Tasks tasks, const replay::Scenario &scenario, const replay::ServerDescription &server) {
  using replay::BusyBy;
  if (scenario.tasks.size() < 2)
    return true;
  bool has_idle = server.busy_by != BusyBy::always;
  return tasks == Tasks::ended    ? has_idle
         : tasks == Tasks::finish ? server.busy_by != BusyBy::nothing
                                  : server.busy_by != BusyBy::nothing && server.busy_by != BusyBy::itself;
}

/// Its interpreter and libraries take their time to start. A master can't be told to allocate.
void fit_to_server(Plan &plan, milliseconds grace) {
  plan.step_bound = std::chrono::seconds(30);
  plan.grace = grace;
  auto &conditions = plan.scenario.conditions;
  if (conditions.victim == Victim::owner && conditions.death == Death::oom)
    conditions.death = Death::sigkill;
}

/// Hands over the replays that a report has of these cells, round by round, as they were done. How many.
std::size_t take_replays(const std::string &file, const std::vector<std::string> &names,
                         const std::function<void(std::size_t, Report)> &add) {
  std::map<std::string, std::deque<Report>> replays;
  for (const auto &name : names)
    replays[name];
  read_reports(file, [&](Report report) {
    if (auto found = replays.find(reports::cell_name(report)); found != replays.end())
      found->second.push_back(std::move(report));
  });
  for (const auto &[name, its] : replays)
    if (its.empty())
      throw UsageError(fmt::format("--from {}: it has no replay of {}", file,
                                   reports::printable(name.substr(0, name.find('\n', name.find('\n') + 1)))));
  std::size_t taken = 0;
  for (bool has_more = true; has_more;) {
    has_more = false;
    for (std::size_t place = 0; place < names.size(); ++place)
      if (auto &its = replays[names[place]]; !its.empty()) {
        add(place, std::move(its.front()));
        its.pop_front();
        ++taken;
        has_more = true;
      }
  }
  return taken;
}

} // namespace

void refuse_word(const std::string &option, const std::string &text, const std::vector<std::string> &known) {
  throw UsageError(fmt::format("{} {}: not known{}", option, text, suggestion(text, known)));
}

std::vector<Plan> make_plans(const ReplayOptions &options) {
  std::vector<Plan> plans;
  auto pools = choose_pools(options.pools);
  if (options.served)
    pools.push_back(*options.served);
  bool all = std::find(options.scenarios.begin(), options.scenarios.end(), "all") != options.scenarios.end();
  for (const auto *scenario : chosen_scenarios(options)) {
    auto add = [&](const replay::PoolChoice &pool, const auto &vary) {
      Plan plan{.scenario = *scenario, .pool = pool, .oom = word<replay::OomMode>("--oom", options.oom)};
      plan.take_stacks = options.stacks;
      auto &conditions = plan.scenario.conditions;
      conditions.workers = options.workers;
      vary(conditions);
      for (const auto &set : options.overrides)
        set(conditions);
      if (pool.server)
        fit_to_server(plan, options.grace);
      bool is_new =
          std::none_of(plans.begin(), plans.end(), [&](const Plan &known) { // an option may have made it another
            return known.scenario.name == plan.scenario.name && known.pool.name == plan.pool.name &&
                   known.scenario.conditions == conditions;
          });
      if (is_new)
        plans.push_back(std::move(plan));
    };
    for (auto method : chosen_start_methods(options, *scenario))
      for (const auto &pool : pools)
        if (!pool.server && (!all || scenario->is_for(SubjectKind::pool)))
          add(pool, [&](Conditions &conditions) { conditions.start_method = method; });
    auto tasks = scenario->tasks.empty() ? std::vector{scenario->conditions.tasks} : scenario->tasks;
    for (auto of_workers : tasks)
      for (const auto &pool : pools)
        if (pool.server && (!all || scenario->is_for(SubjectKind::server)) &&
            can_be(of_workers, *scenario, *pool.server))
          add(pool, [&](Conditions &conditions) { conditions.tasks = of_workers; });
  }
  return plans;
}

std::vector<std::pair<std::string, std::string>> changed_conditions(const Report &report) {
  std::vector<std::pair<std::string, std::string>> changed;
  Conditions defaults;
  for_each_condition(defaults, [&](const char *name, auto &word) {
    auto found = report.conditions.find(name);
    if (found != report.conditions.end() && found->second != spell(word))
      changed.push_back(*found);
  });
  return changed;
}

std::string done_in(const Report &report) {
  std::vector<std::string> changed;
  for (const auto &[name, word] : changed_conditions(report))
    if (name != "start-method") // told beside the workers
      changed.push_back(fmt::format("{} {}", name, word));
  auto method = report.conditions.find("start-method");
  if (method == report.conditions.end()) // a server's, or guard's
    return report.conditions.empty()
               ? ""
               : fmt::format("{} workers{}{}", report.workers, changed.empty() ? "" : "; ", fmt::join(changed, ", "));
  return fmt::format("{} workers with {}; {}", report.workers, method->second,
                     changed.empty() ? "nothing else" : fmt::to_string(fmt::join(changed, ", ")));
}

std::string Replayed::count() const {
  auto all = fmt::format("{} replay{}", wanted, wanted == 1 ? "" : "s");
  return ran.interrupted_by
             ? fmt::format("interrupted by {}: {} of {} were done", os::signal_name(*ran.interrupted_by), ran.done, all)
             : all;
}

Place find_place(const ReplayOptions &options) {
  auto facilities = replay::find_facilities();
  auto tier = choose_tier(options, facilities);
  auto notes = fmt::format("{}{}", facilities.notes.empty() ? "" : "\n  ", fmt::join(facilities.notes, "\n  "));
  if (!options.require_tier.empty() && tier < word<reports::Tier>("--require-tier", options.require_tier))
    throw TierRefused(fmt::format("tier {} is required, this run has {}{}", options.require_tier, spell(tier), notes));
  return {.facilities = std::move(facilities), .tier = tier, .text = fmt::format("tier {}{}", spell(tier), notes)};
}

int run_as_shard(ReplayOptions &options, const std::function<int(const EngineFiles &)> &run) {
  EngineFiles files;
  if (options.from.empty()) {
    options.shard = find_shard(options.shards, environment_here());
    files = engine_files(options.shard, environment_here());
  }
  if (options.report_path.empty() && !options.json)
    options.report_path = files.report;
  return run_for_engine(files, [&] { return run(files); });
}

void announce_shard(const ReplayOptions &options, const std::string &what) {
  if (!options.shard)
    return;
  auto *stream = options.json || options.report_path == standard_output ? stderr : stdout;
  fmt::print(stream, "{}: {}\n", options.shard->text(), what);
  std::fflush(stream);
}

reports::DocumentHead head_of(const ReplayOptions &options, const std::string &verb,
                              const std::vector<std::string> &all) {
  if (!options.shard)
    return {};
  auto sorted = all;
  std::sort(sorted.begin(), sorted.end());
  auto plan = fmt::format("{}\n{}\n{}", options.repeat, options.oom, fmt::join(sorted, "\n"));
  reports::ShardHead head{.shard = *options.shard,
                          .verb = verb,
                          .version = "",
                          .plan = hash_text(stable_hash(plan)),
                          .repeat = options.repeat,
                          .machine = "",
                          .kernel = "",
                          .distribution = ""};
  sign(head);
  return {.shard = std::move(head)};
}

Replayed replay_all(const std::string &verb, const ReplayOptions &options, const std::vector<Plan> &plans,
                    const OnReport &on_report, bool json_to_stdout) {
  if (!options.report_path.empty())
    check_output("--report", options.report_path);
  std::vector<std::string> names;
  std::vector<std::size_t> ours; // places in `plans`
  for (const auto &plan : plans) {
    names.push_back(reports::cell_name(replay::described(plan)));
    if (!options.shard || options.shard->owns(names.back()))
      ours.push_back(names.size() - 1);
  }
  auto head = head_of(options, verb, names);
  if (head.shard) {
    std::set<std::string> cells;
    for (auto place : ours)
      cells.insert(names[place]);
    head.shard->cells = cells.size();
    head.shard->replays = ours.size() * static_cast<std::size_t>(options.repeat);
    announce_shard(options, ours.empty() ? "no cell is its own, so there is nothing to be done"
                                         : fmt::format("{} of {} cells", ours.size(), plans.size()));
  }
  Replayed replayed{.wanted = ours.size() * static_cast<std::size_t>(options.repeat), .ran = {}, .where = ""};
  reports::GrowingDocument document(head);
  bool wants_document = json_to_stdout || !options.report_path.empty();
  auto add = [&](std::size_t plan, Report report) {
    on_report(plan, report);
    if (wants_document)
      document.add(report);
  };
  if (!options.from.empty()) {
    replayed.wanted = take_replays(options.from, names, add);
    replayed.where = "those of " + options.from;
  } else {
    auto place = find_place(options);
    replayed.where = place.text;
    std::vector<Plan> own_plans;
    for (auto at : ours)
      own_plans.push_back(plans[at]);
    Progress progress(replayed.wanted);
    replayed.ran = replay::run(own_plans,
                               {.facilities = place.facilities,
                                .tier = place.tier,
                                .jobs = options.jobs,
                                .repeat = options.repeat,
                                .on_done = std::cref(progress)},
                               [&](std::size_t own, Report report) { add(ours[own], std::move(report)); });
  }
  if (!wants_document)
    return replayed;
  auto content = document.finish();
  if (!options.report_path.empty()) {
    reports::write_atomically(options.report_path, content);
    replayed.where += "\nreport: " + options.report_path;
  }
  if (json_to_stdout)
    reports::write_atomically("/dev/stdout", content);
  return replayed;
}

Option from_option(ReplayOptions &options) {
  return {.name = "--from",
          .into = &options.from,
          .summary = "Take the replays from this report, of shards that were merged for instance, and do none",
          .value = "FILE",
          .group = "Shards"};
}

std::vector<Option> replay_options(ReplayOptions &options) {
  auto number = [](const char *name, int &into, const char *summary, int most) -> Option {
    return {.name = name, .into = &into, .summary = summary, .value = "N", .range = {{1, most}}, .shows_default = true};
  };
  std::vector<Option> all = {
      {.name = "SCENARIO",
       .into = &options.scenarios,
       .summary = "Names as `pidleak list` shows them, or: all",
       .words = with(scenario_names(), "all"),
       .required = true},
      {.name = "--pool",
       .into = &options.pools,
       .summary = "Presets, all of them (the default), real pools such as python:3.12 (`pidleak list --pools`), or "
                  "exec:COMMAND",
       .value = "POOL",
       .words = with(spellings<pool::Preset>(), "all")},
      {.name = "--start-method",
       .into = &options.start_methods,
       .summary = "fork, spawn, forkserver, or: all",
       .value = "METHOD",
       .words = with(spellings<StartMethod>(), "all"),
       .separated = true},
      number("--workers", options.workers, "Workers of the pool", 256),
      number("--repeat", options.repeat, "Replays of each", 100000),
      number("--jobs", options.jobs, "Replays at the same time", 64),
      {.name = "--report",
       .into = [&options](const std::string &path) { options.report_path = output_path(path); },
       .summary = "Write the JSON leak report to this file",
       .value = "FILE"},
      {.name = "--json",
       .into = &options.json,
       .summary = "Write the JSON leak report to standard output, and no table"},
      {.name = "--stacks",
       .into = &options.stacks,
       .summary = "Show the stack of every thread that remains (needs elfutils)"},
      {.name = "--oom",
       .into = &options.oom,
       .summary = "real, or sigkill: a plain SIGKILL stands in for the OOM kill",
       .value = "WORD",
       .words = spellings<replay::OomMode>(),
       .shows_default = true},
      {.name = "--require-tier",
       .into = &options.require_tier,
       .summary = "Skip (status 4) where this run would be weaker",
       .value = "TIER",
       .words = replay_tiers()},
      {.name = "--tier",
       .into = &options.tier,
       .summary = "Use at most this tier: subreaper, namespace, namespace-cgroup",
       .value = "TIER",
       .words = replay_tiers()},
  };
  append(all, condition_options(options));
  append(all, shard_options(options.shards));
  return all;
}

} // namespace pidleak::cli

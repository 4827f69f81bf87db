// pidleak soak: replays everything again and again beside a chosen load, and ends with the first replay that is not as
// expected.
//
//   rounds (seeded order) ──▶ replay::run ──▶ reports::Soak: counts, what is expected ──▶ table, report
//   load, in a sandbox                              └ deviates ──▶ evidence
#include "reports/soak.hpp"

#include "harness/cli/load.hpp"
#include "harness/cli/output_file.hpp"
#include "harness/cli/progress.hpp"
#include "harness/cli/report_file.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/soak_evidence.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/os/signals.hpp"
#include "reports/comparison.hpp"
#include "reports/file.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>

namespace pidleak::cli {
namespace {

using reports::Report;

constexpr double default_seconds = 3600, longest_seconds = 1000000;
constexpr std::size_t most_evidence = 100; // replays whose evidence is kept, of those that deviate
constexpr std::chrono::seconds between_reports{60};

struct SoakOptions {
  ReplayOptions replay{.scenarios = {"all"}};
  double seconds = 0; // 0: not given
  int replays = 0;    // 0: as many as there is time for
  int seed = -1;      // -1: by lot
  int learn = 20;
  std::vector<std::string> load;
  std::string markdown, baseline, evidence = "pidleak-soak";
  bool keep_going = false;
};

/// Each plan once, in an order that the seed decides, and then again in another.
class Rounds {
public:
  Rounds(std::size_t plans, unsigned seed) : random_(seed), left_out_(plans, false) {}

  /// Nothing: all are left out.
  std::optional<std::size_t> next() {
    for (int round = 0; round < 2;) {
      if (order_.empty()) {
        begin();
        ++round;
      }
      while (!order_.empty()) {
        auto plan = order_.back();
        order_.pop_back();
        if (!left_out_[plan])
          return plan;
      }
    }
    return {};
  }
  void leave_out(std::size_t plan) { left_out_[plan] = true; }

private:
  /// By hand: std::shuffle gives another order with another library.
  void begin() {
    for (std::size_t plan = 0; plan < left_out_.size(); ++plan)
      order_.push_back(plan);
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[random_() % i]);
  }

  std::mt19937_64 random_;
  std::vector<bool> left_out_;
  std::vector<std::size_t> order_; // the next one last
};

/// What an earlier report has, by kind of replay.
std::map<std::string, std::set<std::string>> read_baseline(const std::string &path) {
  std::map<std::string, std::set<std::string>> outcomes;
  if (!path.empty())
    for (const auto &report : read_report_file(path))
      outcomes[kind_of_replay(report)].insert(outcome_words(report));
  return outcomes;
}

/// The scenario's word on its preset, else the baseline's.
reports::Soak::Recorded recorded_for(const SoakOptions &options) {
  bool as_scenario = options.replay.overrides.empty() && options.replay.workers == 4;
  return [as_scenario, baseline = read_baseline(options.baseline)](const Report &report) {
    if (const auto *expectation = as_scenario ? scenarios::expectation_of(report) : nullptr) {
      Report expected;
      expected.verdict = expectation->verdict;
      expected.live = expectation->live;
      expected.zombies = expectation->zombies;
      return std::set{outcome_words(expected)};
    }
    auto known = baseline.find(kind_of_replay(report));
    return known == baseline.end() ? std::set<std::string>() : known->second;
  };
}

/// It is made when there is something to keep; that this will not work is said before.
void check_evidence(const std::string &directory) {
  std::error_code ignored;
  auto path = std::filesystem::absolute(directory);
  while (!std::filesystem::exists(path, ignored) && path.has_relative_path())
    path = path.parent_path();
  if (!std::filesystem::is_directory(path, ignored) || ::access(path.c_str(), W_OK | X_OK) != 0)
    throw UsageError(fmt::format("--evidence {}: can't be made in {}", directory, path.string()));
}

class Soaking {
public:
  explicit Soaking(const SoakOptions &options)
      : options_(options), plans_(make_plans(options.replay)), place_(find_place(options.replay)),
        rounds_(plans_.size(), static_cast<unsigned>(options.seed)),
        soak_(recorded_for(options), static_cast<std::size_t>(options.learn)), load_(parse_load(options.load)) {
    for (const auto &[word, count] : load_)
      run_.load.push_back(fmt::format("{}={}", word, count));
    run_.seed = static_cast<unsigned>(options.seed);
  }

  int run() {
    if (!load_.empty())
      loading_.emplace(Load::start(load_, place_));
    progress_.emplace();
    written_ = Clock::now();
    replay::RunOptions how{.facilities = place_.facilities,
                           .tier = place_.tier,
                           .jobs = options_.replay.jobs,
                           .is_over = [this] { return is_over(); },
                           .next_plan = [this] { return next(); }};
    auto ran = replay::run(plans_, how, [this](std::size_t plan, const Report &report) { take(plan, report); });
    loading_.reset();
    run_.seconds = progress_->seconds();
    progress_->clear();
    tell(ran);
    if (ran.interrupted_by)
      return 128 + *ran.interrupted_by;
    return load_ended_.empty() ? reports::exit_status(soak_.judged()) : 5;
  }

private:
  bool is_over() {
    if (loading_)
      load_ended_ = loading_->why_ended();
    return !load_ended_.empty() || (soak_.deviating() > 0 && !options_.keep_going) ||
           (options_.seconds > 0 && progress_->seconds() > options_.seconds);
  }

  std::optional<std::size_t> next() {
    if (options_.replays > 0 && begun_ == static_cast<std::size_t>(options_.replays))
      return {};
    ++begun_;
    return rounds_.next();
  }

  void take(std::size_t plan, const Report &report) {
    if (report.verdict == reports::Verdict::skipped)
      rounds_.leave_out(plan);
    auto expected = soak_.add(report);
    if (!expected.empty() && kept_ < most_evidence) {
      ++kept_;
      auto directory = keep_evidence(options_.evidence, {.report = report,
                                                         .plan = plans_[plan],
                                                         .number = soak_.replays(),
                                                         .expected = expected,
                                                         .soak_command = command()});
      progress_->clear();
      fmt::print(stderr, "pidleak: replay {}, {} on {}: {}, expected: {}; its evidence is in {}\n", soak_.replays(),
                 report.scenario, reports::printable(report.pool), outcome_words(report), expected, directory);
    }
    show_progress();
    if (Clock::now() - written_ > between_reports && is_regular_or_new(options_.replay.report_path))
      write();
  }

  /// How far it is, how fast, and how long it will take.
  void show_progress() const {
    auto done = static_cast<double>(soak_.replays()), gone = progress_->seconds();
    auto left = options_.seconds > 0 ? options_.seconds - gone : longest_seconds;
    if (options_.replays > 0)
      left = std::min(left, (static_cast<double>(options_.replays) - done) * gone / done);
    progress_->show(fmt::format("{} replays, {:.1f} a second, {:.0f} s left, {} deviate", soak_.replays(), done / gone,
                                std::max(left, 0.0), soak_.deviating()));
  }

  /// What is known so far: a soak of days may be killed.
  void write() {
    written_ = Clock::now();
    run_.seconds = progress_->seconds();
    if (!options_.replay.report_path.empty())
      reports::write_atomically(options_.replay.report_path, soak_document(soak_, run_));
  }

  std::string command() const {
    std::vector<std::string> words = {"pidleak", "soak", "--seed", std::to_string(options_.seed)};
    auto add = [&](const char *option, const std::string &word) { words.insert(words.end(), {option, word}); };
    add("--replays", std::to_string(soak_.replays()));
    for (const auto &scenario : options_.replay.scenarios)
      add("--scenario", scenario);
    for (const auto &pool : options_.replay.pools)
      add("--pool", pool);
    for (const auto &method : options_.replay.start_methods)
      add("--start-method", method);
    if (!run_.load.empty())
      add("--load", fmt::to_string(fmt::join(run_.load, ",")));
    add("--workers", std::to_string(options_.replay.workers));
    add("--jobs", std::to_string(options_.replay.jobs));
    return command_line_of(words);
  }

  void tell(const replay::Ran &ran) {
    const auto &path = options_.replay.report_path;
    auto *stream = path == standard_output || options_.markdown == standard_output ? stderr : stdout;
    fmt::print(stream, "{}{}\n", render_soak(soak_), summary_of(soak_, run_));
    if (ran.interrupted_by)
      fmt::print(stream, "interrupted by {}\n", os::signal_name(*ran.interrupted_by));
    if (!load_ended_.empty() && !ran.interrupted_by)
      fmt::print(stderr, "pidleak: the load ended: {}; what was to run beside it ended as well\n", load_ended_);
    fmt::print(stream, "{}\n", place_.text);
    if (!path.empty()) {
      reports::write_atomically(path, soak_document(soak_, run_));
      fmt::print(stream, "report: {}\n", path);
    }
    if (!options_.markdown.empty())
      reports::write_atomically(options_.markdown, render_soak_markdown(soak_));
  }

  const SoakOptions &options_;
  std::vector<replay::Plan> plans_;
  Place place_;
  Rounds rounds_;
  reports::Soak soak_;
  std::map<std::string, int> load_;
  reports::SoakRun run_;
  std::optional<Load> loading_;
  std::string load_ended_;
  std::size_t begun_ = 0, kept_ = 0;
  Clock::time_point written_;
  std::optional<Progress> progress_; // from the first replay on
};

int soak(SoakOptions options) {
  if (!options.replay.report_path.empty())
    check_output("--report", options.replay.report_path);
  if (!options.markdown.empty())
    check_output("--markdown", options.markdown);
  check_evidence(options.evidence);
  if (options.seconds == 0 && options.replays == 0)
    options.seconds = default_seconds;
  if (options.seed < 0)
    options.seed = static_cast<int>(std::random_device()() % 1000000);
  try {
    return Soaking(options).run();
  } catch (const LoadLacking &e) {
    fmt::print(stderr, "pidleak: skipped: {}\n", e.what());
    return reports::exit_status(reports::Verdict::skipped);
  }
}

/// Those of the other verbs that replay, but for what a soak does its own way. It has no parts: two soaks do more than
/// half a one each.
std::vector<Option> options_of_replays(ReplayOptions &options) {
  auto all = replay_options(options);
  std::erase_if(all, [](const Option &option) {
    return option.name == "--repeat" || option.name == "--json" || option.name == "--stacks" ||
           option.group == "Shards";
  });
  for (auto &option : all)
    if (option.name == "SCENARIO") {
      option.name = "--scenario";
      option.value = "SCENARIO";
      option.summary = "Names as `pidleak list` shows them, or: all (the default)";
      option.required = false;
      option.separated = true;
    }
  return all;
}

} // namespace

Command soak_verb() {
  auto options = std::make_shared<SoakOptions>();
  Command command{.name = "soak",
                  .summary = "Replay everything again and again, beside a load, until something is not as expected",
                  .options = {{.name = "--for",
                               .into = &options->seconds,
                               .summary = "Begin no replay after that time; by default an hour, or as long as "
                                          "--replays take",
                               .value = "SECONDS",
                               .range = {{1, longest_seconds}}},
                              {.name = "--replays",
                               .into = &options->replays,
                               .summary = "End after so many replays",
                               .value = "N",
                               .range = {{1, 2000000000}}},
                              {.name = "--load",
                               .into = &options->load,
                               .summary = "stress-ng meanwhile: cpu, io, mem, fork, one of each for each core, or as "
                                          "many as in cpu=2",
                               .value = "KIND",
                               .words = load_words(),
                               .separated = true},
                              {.name = "--seed",
                               .into = &options->seed,
                               .summary = "Decides the order of the replays; by default drawn by lot, and told",
                               .value = "N",
                               .range = {{0, 2000000000}}},
                              {.name = "--keep-going",
                               .into = &options->keep_going,
                               .summary = "Go on after a replay that is not as expected, and count those"},
                              {.name = "--learn",
                               .into = &options->learn,
                               .summary = "Where nothing is recorded, what comes of the first N replays is expected of "
                                          "the others",
                               .value = "N",
                               .range = {{1, 1000000}},
                               .shows_default = true},
                              {.name = "--baseline",
                               .into = &options->baseline,
                               .summary = "What is in this leak report is expected, where no scenario says anything",
                               .value = "FILE"},
                              {.name = "--evidence",
                               .into = &options->evidence,
                               .summary = "The directory in which all that is known of a replay that is not as "
                                          "expected is kept",
                               .value = "DIRECTORY",
                               .shows_default = true},
                              {.name = "--markdown",
                               .into = [options](const std::string &path) { options->markdown = output_path(path); },
                               .summary = "Write the table as Markdown to this file",
                               .value = "FILE"}},
                  .footer = "Status 1: a cell deviates: from what its scenario says of a preset, from the baseline, or "
                            "from its own first\noutcomes.\n\n"
                            "Examples:\n"
                            "  pidleak soak --for 10m --load cpu,io,mem,fork --jobs 2 --report soak.json\n"
                            "  pidleak soak --for 8h --pool python:3.12 --start-method all --keep-going",
                  .run = [options](const Given &) { return soak(*options); }};
  append(command.options, options_of_replays(options->replay));
  return command;
}

} // namespace pidleak::cli

// Does what replays.hpp has planned, or a shard of it, or takes it from a report.
#include "harness/base/stable_hash.hpp"
#include "harness/cli/output_file.hpp"
#include "harness/cli/progress.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/report_file.hpp"
#include "reports/file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <set>

namespace pidleak::cli {

using replay::Plan;
using reports::Report;

namespace {

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
    own_plans.reserve(ours.size());
    for (auto at : ours)
      own_plans.push_back(plans[at]);
    Progress progress(replayed.wanted > 1);
    auto show = [&](std::size_t done, const Report &report) {
      progress.show(fmt::format("[{}/{}] {} on {}: {}", done, replayed.wanted, report.scenario,
                                reports::printable(report.pool), spell(report.verdict)));
    };
    replayed.ran = replay::run(own_plans,
                               {.facilities = place.facilities,
                                .tier = place.tier,
                                .jobs = options.jobs,
                                .repeat = options.repeat,
                                .on_done = show},
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

} // namespace pidleak::cli

// pidleak report merge: one report of several; of shards, with proof that nothing is missing and nothing is doubled.
#include "reports/merge.hpp"

#include "harness/cli/output_file.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/report_file.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/file.hpp"
#include "reports/layout.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Merged;
using reports::ShardHead;
using reports::layout::Row;

struct MergeOptions {
  std::vector<std::string> files;
  std::string output;
  bool partial = false, status = false;
};

constexpr std::size_t most_ranges = 8;

/// `1-3, 7`, of numbers that rise; of many the first.
std::string ranges_of(const std::vector<int> &numbers) {
  std::vector<std::string> ranges;
  for (std::size_t i = 0; i < numbers.size();) {
    auto from = i;
    while (i + 1 < numbers.size() && numbers[i + 1] <= numbers[i] + 1)
      ++i;
    ranges.push_back(numbers[from] == numbers[i] ? fmt::to_string(numbers[from])
                                                 : fmt::format("{}-{}", numbers[from], numbers[i]));
    ++i;
  }
  auto more = ranges.size() - std::min(ranges.size(), most_ranges);
  ranges.resize(ranges.size() - more);
  return fmt::format("{}{}", fmt::join(ranges, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

struct Label {
  const char *title;
  std::string ShardHead::*member;
};
constexpr Label labels[] = {
    {"MACHINE", &ShardHead::machine}, {"KERNEL", &ShardHead::kernel}, {"DISTRIBUTION", &ShardHead::distribution}};

/// A row for the shards of one machine, kernel and distribution, and a column for each of these that differ.
std::string table_of_places(const std::vector<ShardHead> &shards) {
  std::vector<Label> differing;
  for (const auto &label : labels)
    if (std::any_of(shards.begin(), shards.end(),
                    [&](const ShardHead &one) { return one.*label.member != shards.front().*label.member; }))
      differing.push_back(label);
  if (differing.empty())
    return "";
  struct Place {
    std::vector<int> shards;
    std::size_t replays = 0;
  };
  std::map<std::vector<std::string>, Place> places;
  for (const auto &one : shards) {
    std::vector<std::string> where;
    for (const auto &label : differing)
      where.push_back(reports::printable(one.*label.member));
    auto &place = places[where];
    place.shards.push_back(one.shard.index);
    place.replays += one.replays;
  }
  std::vector<Row> rows(1);
  for (const auto &label : differing)
    rows.front().emplace_back(label.title);
  rows.front().insert(rows.front().end(), {"REPLAYS", "SHARDS"});
  for (const auto &[where, place] : places) {
    rows.push_back(where);
    rows.back().insert(rows.back().end(), {fmt::to_string(place.replays), ranges_of(place.shards)});
  }
  std::string text;
  for (const auto &row : reports::layout::align(rows, {differing.size()}))
    text += "  " + reports::layout::join(row) + "\n";
  return text;
}

std::string counts_of(const Merged &merged) {
  std::vector<std::string> counts;
  for (auto [verdict, count] : merged.verdicts)
    counts.push_back(fmt::format("{} {}", count, spell(verdict)));
  return fmt::format("{} replays{}{}", merged.reports, counts.empty() ? "" : ": ", fmt::join(counts, ", "));
}

std::string text_of_shards(const Merged &merged) {
  const auto &first = merged.shards.front();
  auto text =
      fmt::format("{} of {} shards: {} by pidleak {}, plan {}\n", merged.shards.size(), merged.count,
                  reports::printable(first.verb), reports::printable(first.version), reports::printable(first.plan));
  text += table_of_places(merged.shards);
  for (const auto &note : merged.notes)
    text += fmt::format("  {}\n", reports::printable(note));
  if (!merged.sweeps.empty())
    text += "\n" + reports::render_sweeps(merged.sweeps,
                                          [](const auto &sweep, const auto &one) { return replay_line(sweep, one); });
  return text + counts_of(merged) + "\n";
}

int status_of(const Merged &merged) {
  if (!merged.sweeps.empty())
    return reports::exit_status(merged.sweeps);
  std::vector<reports::Verdict> verdicts;
  for (auto [verdict, count] : merged.verdicts)
    verdicts.push_back(verdict);
  return reports::exit_status(verdicts);
}

int merge(const MergeOptions &options) {
  check_standard_input(options.files);
  auto path = output_path(options.output);
  check_output("--output", path);
  std::vector<reports::MergeInput> inputs;
  for (const auto &file : options.files)
    inputs.push_back({.path = file, .open = report_content(file)});
  Merged merged;
  try {
    merged = reports::merge(inputs);
  } catch (const std::invalid_argument &e) {
    throw UsageError(reports::printable(e.what()));
  }
  bool is_invalid = !merged.different.empty() || (!merged.incomplete.empty() && !options.partial);
  for (const auto *all : {&merged.different, &merged.incomplete})
    for (const auto &what : *all)
      fmt::print(stderr, "pidleak: {}: {}\n", is_invalid ? "invalid" : "partial", reports::printable(what));
  if (is_invalid) {
    fmt::print(stderr, "pidleak: nothing was written{}\n",
               merged.different.empty() ? "; --partial merges what is there" : "");
    return reports::exit_status(reports::Verdict::invalid);
  }
  reports::write_atomically(path, merged.document());
  if (!merged.shards.empty())
    std::fputs(text_of_shards(merged).c_str(), path == standard_output ? stderr : stdout);
  return options.status ? status_of(merged) : 0;
}

} // namespace

Command merge_verb() {
  auto options = std::make_shared<MergeOptions>();
  return {.name = "merge",
          .summary = "Make one leak report of several, and of shards prove that they are all there",
          .options = {{.name = "FILE",
                       .into = &options->files,
                       .summary = "Leak reports, or - for standard input",
                       .value = "",
                       .required = true},
                      {.name = "-o,--output",
                       .into = &options->output,
                       .summary = "Write to this file, or - for standard output",
                       .value = "FILE",
                       .required = true},
                      {.name = "--partial",
                       .into = &options->partial,
                       .summary = "Merge also where a shard is missing, doubled or has not come to its end: else that "
                                  "is invalid, and nothing is written"},
                      {.name = "--status",
                       .into = &options->status,
                       .summary = "Exit with the status of the verdicts, as the shards' verb would for the whole"}},
          .footer = "Shards are those of --shard, or of an engine's variables: each must be there once, with the same\n"
                    "version and plan. Status 3: they are not all parts of one run.\n\n"
                    "Examples:\n"
                    "  pidleak report merge shard-*.json -o leaks.json\n"
                    "  pidleak report merge shard-*.json -o - --partial | pidleak report -",
          .run = [options](const Given &) { return merge(*options); }};
}

} // namespace pidleak::cli

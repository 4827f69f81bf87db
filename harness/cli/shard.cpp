#include "harness/cli/shard.hpp"

#include "harness/os/syscall_error.hpp"
#include "reports/file.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

namespace pidleak::cli {
namespace {

using reports::Shard;

/// The variables of one engine: which part, counted from `first`, and of how many.
struct Engine {
  const char *index, *count;
  int first;
};

// Each engine's own documents say where it counts from.
constexpr Engine engines[] = {{"TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", 0},                   // Bazel
                              {"GTEST_SHARD_INDEX", "GTEST_TOTAL_SHARDS", 0},                 // GoogleTest
                              {"CI_NODE_INDEX", "CI_NODE_TOTAL", 1},                          // GitLab
                              {"CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0},                  // CircleCI
                              {"BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0}}; // Buildkite

constexpr const char *kubernetes_index = "JOB_COMPLETION_INDEX";
constexpr const char *slurm_index = "SLURM_ARRAY_TASK_ID";
constexpr const char *or_decide = "--shard I/N decides, and --shard 1/1 is the whole";

std::optional<int> number_in(std::string_view text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 ? std::optional(number) : std::nullopt;
}

/// Nothing: it is not set, or empty.
std::optional<int> number_of(const char *name, const Environment &environment) {
  auto text = environment(name);
  if (!text || text->empty())
    return {};
  if (auto number = number_in(*text))
    return number;
  throw UsageError(fmt::format("{}={}: is no number; {}", name, reports::printable(*text), or_decide));
}

Shard checked(int index, int count, const char *name, int first, int value) {
  if (count < 1 || index < 1 || index > count)
    throw UsageError(
        fmt::format("{}={} is not one of {} shards counted from {}; {}", name, value, count, first, or_decide));
  return {.index = index, .count = count, .by = name};
}

std::optional<Shard> shard_by(const Engine &engine, const Environment &environment) {
  auto index = number_of(engine.index, environment), count = number_of(engine.count, environment);
  bool is_whole = !index && (!count || *count <= 1); // GitLab's and CircleCI's jobs that are not in parts
  if (is_whole)
    return {};
  if (!index || !count)
    throw UsageError(fmt::format("{} is set, and {} is not; {}", index ? engine.index : engine.count,
                                 index ? engine.count : engine.index, or_decide));
  // Heroku's CI counts from 0 in the variables that GitLab counts from 1 in.
  auto first = engine.first == 1 && environment("HEROKU_TEST_RUN_ID") ? 0 : engine.first;
  return checked(*index - first + 1, *count, engine.index, first, *index);
}

/// An array 0-15:5 has the tasks 0, 5, 10 and 15: these are shards 1 to 4.
std::optional<Shard> shard_by_slurm(const Environment &environment) {
  auto task = number_of(slurm_index, environment), count = number_of("SLURM_ARRAY_TASK_COUNT", environment);
  if (!task || !count)
    return {};
  int first = number_of("SLURM_ARRAY_TASK_MIN", environment).value_or(0);
  int step = std::max(1, number_of("SLURM_ARRAY_TASK_STEP", environment).value_or(1));
  if (*task < first || (*task - first) % step != 0 || (*task - first) / step >= *count)
    throw UsageError(
        fmt::format("SLURM_ARRAY_TASK_ID={}: the {} tasks of this array are not from {} in steps of {}, as "
                    "those of --array=0-{}; {}",
                    *task, *count, first, step, *count - 1, or_decide));
  return Shard{.index = (*task - first) / step + 1, .count = *count, .by = slurm_index};
}

Shard parse_shard(const std::string &text) {
  auto slash = std::min(text.find('/'), text.size());
  auto index = number_in(text.substr(0, slash)).value_or(0);
  auto count = number_in(text.substr(std::min(slash + 1, text.size()))).value_or(0);
  if (index < 1 || index > count)
    throw UsageError(
        fmt::format("--shard {}: is not I/N with I from 1 to N: the first of 8 is 1/8, the last 8/8", text));
  return {.index = index, .count = count, .by = "--shard"};
}

std::string told(const Shard &shard) { return fmt::format("{} says {}/{}", shard.by, shard.index, shard.count); }

void write_for_engine(const char *name, const std::string &path, const std::string &text) {
  try {
    reports::write_atomically(path, text);
  } catch (const os::SyscallError &e) {
    throw UsageError(fmt::format("{}: can't be written: {}", name, e.what()));
  }
}

} // namespace

std::vector<Option> shard_options(ShardOptions &options) {
  return {{.name = "--shard",
           .into = &options.shard,
           .summary = "Do part I of N alone, from 1/N to N/N: `pidleak report merge` puts all of them together. "
                      "Without it an engine's own variables count: SLURM_ARRAY_TASK_ID, CI_NODE_INDEX and others",
           .value = "I/N",
           .group = "Shards"},
          {.name = "--shards",
           .into = &options.count,
           .summary = "Of how many parts JOB_COMPLETION_INDEX names one: in an Indexed Job of Kubernetes",
           .value = "N",
           .range = {{1, 1000000}},
           .group = "Shards"}};
}

Environment environment_here() {
  return [](const std::string &name) -> std::optional<std::string> {
    const char *value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

std::optional<Shard> find_shard(const ShardOptions &options, const Environment &environment) {
  if (!options.shard.empty()) {
    auto shard = parse_shard(options.shard);
    if (options.count > 0 && options.count != shard.count)
      throw UsageError(fmt::format("--shard {} and --shards {} disagree", options.shard, options.count));
    return shard.count > 1 ? std::optional(shard) : std::nullopt;
  }
  std::vector<Shard> all;
  for (const auto &engine : engines)
    if (auto shard = shard_by(engine, environment))
      all.push_back(*shard);
  if (auto shard = shard_by_slurm(environment))
    all.push_back(*shard);
  // Without --shards it may mean anything: a Job need not be made of shards.
  auto completion = options.count > 0 ? number_of(kubernetes_index, environment) : std::nullopt;
  if (completion)
    all.push_back(checked(*completion + 1, options.count, kubernetes_index, 0, *completion));
  if (all.empty() && options.count > 1)
    throw UsageError(
        fmt::format("--shards {}: JOB_COMPLETION_INDEX is not set, nor the variables of another engine; {}",
                    options.count, or_decide));
  for (const auto &shard : all) {
    if (options.count > 0 && shard.count != options.count)
      throw UsageError(fmt::format("--shards {}, but {}; {}", options.count, told(shard), or_decide));
    if (shard.index != all.front().index || shard.count != all.front().count)
      throw UsageError(fmt::format("{}, and {}; {}", told(all.front()), told(shard), or_decide));
  }
  return !all.empty() && all.front().count > 1 ? std::optional(all.front()) : std::nullopt;
}

EngineFiles engine_files(const std::optional<Shard> &shard, const Environment &environment) {
  auto path = [&](const char *name) { return environment(name).value_or(""); };
  EngineFiles files;
  if (!shard || shard->by == "--shard")
    return files;
  if (shard->by == "GTEST_SHARD_INDEX")
    files.status = path("GTEST_SHARD_STATUS_FILE");
  if (shard->by != "TEST_SHARD_INDEX")
    return files;
  files.status = path("TEST_SHARD_STATUS_FILE");
  files.junit = path("XML_OUTPUT_FILE");
  files.infrastructure = path("TEST_INFRASTRUCTURE_FAILURE_FILE");
  if (auto directory = path("TEST_UNDECLARED_OUTPUTS_DIR"); !directory.empty())
    files.report = fmt::format("{}/pidleak-{}-of-{}.json", directory, shard->index, shard->count);
  return files;
}

int run_for_engine(const EngineFiles &files, const std::function<int()> &run) {
  if (!files.status.empty())
    write_for_engine("the file that says that shards are known", files.status, "");
  auto tell = [&](const std::string &what) { // two lines: which part of the test's surroundings failed, and how
    if (!files.infrastructure.empty())
      write_for_engine("TEST_INFRASTRUCTURE_FAILURE_FILE", files.infrastructure, "pidleak\n" + what + "\n");
  };
  int status = 0;
  try {
    status = run();
  } catch (const UsageError &) {
    throw;
  } catch (const std::exception &e) {
    tell(reports::printable(e.what()));
    throw;
  }
  if (status == reports::exit_status(reports::Verdict::broken))
    tell("a replay is broken: its report says why");
  return status;
}

} // namespace pidleak::cli

// Shards as a user and an engine ask for them, and pidleak report merge.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <map>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

using Variables = std::vector<std::string>;

/// The engine's variables alone: none of those of the engine that runs this test.
Ran run_with(const Variables &variables, const std::vector<std::string> &arguments) {
  std::vector<std::string> all = {"-i", "PATH=" PIDLEAK_BINARY_DIR ":/usr/bin:/bin"};
  all.insert(all.end(), variables.begin(), variables.end());
  all.emplace_back(PIDLEAK_BINARY_DIR "/pidleak");
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(all, "/usr/bin/env");
}

std::vector<std::string> with(std::vector<std::string> some, const std::vector<std::string> &more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

const std::vector<std::string> two_scenarios = {"run", "incident", "full-queue-shutdown", "--oom=sigkill", "--pool",
                                                "hardened,cpython36"};

nlohmann::json document_in(const std::string &path) { return nlohmann::json::parse(os::read_file(path)); }

/// Scenario, pool and verdict of each replay, and how often.
std::map<std::string, int> replays_in(const std::string &path) {
  std::map<std::string, int> replays;
  const auto document = document_in(path);
  for (const auto &report : document["reports"])
    ++replays[report["scenario"].get<std::string>() + " " + report["pool"]["name"].get<std::string>() + " " +
              report["verdict"].get<std::string>()];
  return replays;
}

std::string first_line(const Ran &ran) { return ran.out.substr(0, ran.out.find('\n')); }

void check_shard(const Variables &variables, const std::string &says, const std::vector<std::string> &more = {}) {
  auto ran = run_with(variables, with({"run", "lifetime", "--pool", "hardened"}, more));
  INFO(ran.out << ran.err);
  CHECK_THAT(says.starts_with("shard") ? first_line(ran) : ran.err, ContainsSubstring(says));
  CHECK((ran.status == 2) == !says.starts_with("shard"));
}

} // namespace

TEST_CASE("shards do each cell once, and merged they are what one run does", "[cli]") {
  TemporaryDirectory directory;
  CHECK(run(with(two_scenarios, {"--shard", "1/1", "--report", directory / "single"})).status == 1);
  std::vector<std::string> merge = {"report", "merge"};
  for (const std::string number : {"3", "1", "2"}) {
    auto ran = run(with(two_scenarios, {"--shard", number + "/3", "--report", directory / number}));
    CHECK_THAT(first_line(ran), StartsWith("shard " + number + " of 3 (--shard): "));
    CHECK((ran.status == 0 || ran.status == 1));
    merge.push_back(directory / number);
  }
  auto merged = run(with(merge, {"-o", directory / "merged", "--status"}));
  INFO(merged.out << merged.err);
  CHECK(merged.status == 1);
  CHECK_THAT(merged.out, StartsWith("3 of 3 shards: run by pidleak"));
  CHECK(replays_in(directory / "merged") == replays_in(directory / "single"));
  CHECK(document_in(directory / "merged")["shards"].size() == 3);

  auto without = [&](std::size_t which) {
    auto files = merge;
    files.erase(files.begin() + static_cast<std::ptrdiff_t>(which) + 2);
    return files;
  };
  auto missing = run(with(without(1), {"-o", directory / "none"}));
  CHECK(missing.status == 3);
  CHECK_THAT(missing.err, ContainsSubstring("invalid: shard 1 of 3 is missing"));
  CHECK_FALSE(std::filesystem::exists(directory / "none"));
  CHECK_THAT(run(with(merge, {directory / "2", "-o", directory / "none"})).err,
             ContainsSubstring("shard 2 of 3 is there 2 times"));
  CHECK_THAT(run(with(merge, {directory / "single", "-o", directory / "none"})).err,
             ContainsSubstring("single: is of no shard"));
  auto partial = run(with(without(1), {"-o", directory / "partial", "--partial"}));
  CHECK(partial.status == 0);
  CHECK_THAT(partial.out, StartsWith("2 of 3 shards"));
  auto more = run(with(two_scenarios, {"--workers", "3", "--shard", "1/3", "--report", directory / "other"}));
  auto other = run(with(without(1), {directory / "other", "-o", directory / "none", "--partial"}));
  CHECK(other.status == 3);
  CHECK_THAT(other.err, ContainsSubstring("its plan is"));

  // What was done before is judged by the verb that knows how.
  auto expected = run(with(two_scenarios, {"--from", directory / "merged", "--expected"}));
  CHECK(expected.status == 0);
  CHECK_THAT(expected.out, ContainsSubstring("; as expected"));
  check_usage(with(two_scenarios, {"--from", directory / "1"}), "it has no replay of");
  check_usage({"report", "merge", directory / "merged", "-o", directory / "none"}, "are merged in it already");
}

TEST_CASE("a cell more moves no other to another shard", "[cli]") {
  auto cells_of = [](const std::string &pools) {
    std::map<std::string, std::string> shards;
    for (const std::string number : {"1", "2", "3", "4"}) {
      TemporaryDirectory directory;
      run({"run", "inherited-sigterm-handler", "lifetime", "--oom=sigkill", "--start-method", "all", "--pool", pools, "--shard", number + "/4",
           "--report", directory / "r"});
      const auto document = document_in(directory / "r");
      for (const auto &report : document["reports"])
        shards[report["pool"]["name"].get<std::string>() + report["scenario"].get<std::string>() +
               report["conditions"]["start-method"].get<std::string>()] = number;
    }
    return shards;
  };
  auto few = cells_of("hardened"), more = cells_of("cpython37,hardened");
  CHECK(few.size() == 6);
  CHECK(more.size() == 12);
  for (const auto &[cell, shard] : few)
    CHECK(more[cell] == shard);
}

TEST_CASE("an engine's variables name the shard, each from where it counts", "[cli]") {
  check_shard({"GTEST_SHARD_INDEX=0", "GTEST_TOTAL_SHARDS=4"}, "shard 1 of 4 (GTEST_SHARD_INDEX)");
  check_shard({"TEST_SHARD_INDEX=3", "TEST_TOTAL_SHARDS=4"}, "shard 4 of 4 (TEST_SHARD_INDEX)");
  check_shard({"CI_NODE_INDEX=1", "CI_NODE_TOTAL=4", "GITLAB_CI=true"}, "shard 1 of 4 (CI_NODE_INDEX)");
  check_shard({"CI_NODE_INDEX=0", "CI_NODE_TOTAL=4", "HEROKU_TEST_RUN_ID=7"}, "shard 1 of 4 (CI_NODE_INDEX)");
  check_shard({"CIRCLE_NODE_INDEX=1", "CIRCLE_NODE_TOTAL=4"}, "shard 2 of 4 (CIRCLE_NODE_INDEX)");
  check_shard({"BUILDKITE_PARALLEL_JOB=2", "BUILDKITE_PARALLEL_JOB_COUNT=4"}, "shard 3 of 4 (BUILDKITE_PARALLEL_JOB)");
  check_shard({"JOB_COMPLETION_INDEX=2"}, "shard 3 of 4 (JOB_COMPLETION_INDEX)", {"--shards", "4"});
  Variables slurm = {"SLURM_ARRAY_TASK_ID=15", "SLURM_ARRAY_TASK_MIN=5", "SLURM_ARRAY_TASK_STEP=5",
                     "SLURM_ARRAY_TASK_COUNT=4"};
  check_shard(slurm, "shard 3 of 4 (SLURM_ARRAY_TASK_ID)");
  check_shard(slurm, "shard 2 of 3 (--shard)", {"--shard", "2/3"});
  check_shard(with(slurm, {"TEST_SHARD_INDEX=2", "TEST_TOTAL_SHARDS=4"}), "shard 3 of 4");

  // The whole: no job in parts, an index without a number of parts, and where the user says so.
  for (const auto &[variables, more] : std::vector<std::pair<Variables, std::vector<std::string>>>{
           {{"CI_NODE_TOTAL=1"}, {}},
           {{"CIRCLE_NODE_INDEX=0", "CIRCLE_NODE_TOTAL=1"}, {}},
           {{"JOB_COMPLETION_INDEX=2"}, {}},
           {slurm, {"--shard", "1/1"}}}) {
    auto ran = run_with(variables, with({"run", "lifetime", "--pool", "hardened"}, more));
    CHECK(ran.status == 0);
    CHECK_THAT(ran.out, !ContainsSubstring("shard"));
  }
}

TEST_CASE("variables that disagree, or can't be, are refused with their names", "[cli]") {
  check_shard({"GTEST_SHARD_INDEX=0", "GTEST_TOTAL_SHARDS=4", "CIRCLE_NODE_INDEX=1", "CIRCLE_NODE_TOTAL=4"},
              "GTEST_SHARD_INDEX says 1/4, and CIRCLE_NODE_INDEX says 2/4");
  check_shard({"GTEST_SHARD_INDEX=4", "GTEST_TOTAL_SHARDS=4"}, "GTEST_SHARD_INDEX=4 is not one of 4 shards");
  check_shard({"GTEST_SHARD_INDEX=0"}, "GTEST_SHARD_INDEX is set, and GTEST_TOTAL_SHARDS is not");
  check_shard({"CI_NODE_INDEX=0", "CI_NODE_TOTAL=4"}, "CI_NODE_INDEX=0 is not one of 4 shards counted from 1");
  check_shard({"CIRCLE_NODE_INDEX=one", "CIRCLE_NODE_TOTAL=4"}, "CIRCLE_NODE_INDEX=one: is no number");
  check_shard({"SLURM_ARRAY_TASK_ID=7", "SLURM_ARRAY_TASK_MIN=1", "SLURM_ARRAY_TASK_COUNT=3"},
              "SLURM_ARRAY_TASK_ID=7: the 3 tasks");
  check_shard({"JOB_COMPLETION_INDEX=1", "CIRCLE_NODE_INDEX=1", "CIRCLE_NODE_TOTAL=3"},
              "--shards 4, but CIRCLE_NODE_INDEX says 2/3", {"--shards", "4"});
  check_shard({}, "JOB_COMPLETION_INDEX is not set", {"--shards", "4"});
  for (const std::string wrong : {"0/4", "5/4", "4", "a/b", "-1/4", "1/0", "/"})
    check_shard({}, "--shard " + wrong + ": is not I/N", {"--shard", wrong});
}

TEST_CASE("a shard without a cell has passed, and says so; Bazel gets its files", "[cli]") {
  TemporaryDirectory directory;
  int without = 0;
  for (const std::string index : {"0", "1"}) {
    auto ran = run_with({"TEST_SHARD_INDEX=" + index, "TEST_TOTAL_SHARDS=2",
                         "TEST_SHARD_STATUS_FILE=" + (directory / "status"),
                         "XML_OUTPUT_FILE=" + (directory / "xml" + index),
                         "TEST_INFRASTRUCTURE_FAILURE_FILE=" + (directory / "broken"),
                         "TEST_UNDECLARED_OUTPUTS_DIR=" + directory.path()},
                        {"run", "lifetime", "--pool", "hardened"});
    CHECK(ran.status == 0);
    without += ran.out.find("no cell is its own") != std::string::npos ? 1 : 0;
    CHECK_THAT(os::read_file(directory / "xml" + index), StartsWith("<?xml"));
  }
  CHECK(without == 1);
  CHECK(directory.names() == std::set<std::string>{"pidleak-1-of-2.json", "pidleak-2-of-2.json", "status", "xml0", "xml1"});
  CHECK(run({"report", "merge", directory / "pidleak-1-of-2.json", directory / "pidleak-2-of-2.json", "-o",
             directory / "all"})
            .status == 0);
  auto broken = run_with({"TEST_SHARD_INDEX=0", "TEST_TOTAL_SHARDS=1000", "TEST_SHARD_STATUS_FILE=/nonexistent/status"},
                         {"run", "lifetime", "--pool", "hardened"});
  CHECK(broken.status == 2);
}

TEST_CASE("a sweep in shards has the classes of one sweep; a shard that was killed is told", "[cli][once]") {
  TemporaryDirectory directory;
  const std::vector<std::string> sweep = {
      "sweep",  "--pool", "exec:" PIDLEAK_BINARY_DIR "/pidleak-planted-pool does-not-reap-the-new",
      "--role", "worker", "--repeat", "1"};
  auto classes_of = [](const std::string &path) {
    std::map<std::string, std::string> verdicts;
    const auto document = document_in(path);
    for (const auto &one : document["sweeps"][0]["classes"])
      for (const auto &point : one["points"])
        verdicts[point["point"]] = one["verdict"];
    return verdicts;
  };
  CHECK(run(with(sweep, {"--report", directory / "single"})).status == 1);
  std::vector<std::string> merge = {"report", "merge"};
  for (const std::string number : {"1", "2", "3"}) {
    run(with(sweep, {"--shard", number + "/3", "--report", directory / number}));
    merge.push_back(directory / number);
  }
  auto merged = run(with(merge, {"-o", directory / "merged", "--status"}));
  INFO(merged.out << merged.err);
  CHECK(merged.status == 1);
  CHECK(classes_of(directory / "merged").size() > 5);
  CHECK(classes_of(directory / "merged") == classes_of(directory / "single"));
  check_usage(with(sweep, {"--shard", "2/3", "--resume", directory / "1"}), "it is of shard 1 of 3 of plan");

  // A SIGKILL leaves a report that is whole but for the end, which tells what came of all of it.
  auto killed = nlohmann::ordered_json::parse(os::read_file(directory / "2"));
  killed.erase("sweeps");
  std::ofstream(directory / "2") << killed.dump(2);
  auto unfinished = run(with(merge, {"-o", directory / "none"}));
  CHECK(unfinished.status == 3);
  CHECK_THAT(unfinished.err, ContainsSubstring("shard 2 of 3 has not come to its end"));

  // What another shard alone has recorded is not lost: here the first has no point of the third.
  auto other = nlohmann::ordered_json::parse(os::read_file(directory / "1"));
  auto &points = other["sweeps"][0]["points"];
  auto added = points[0];
  for (int i = 0; i < 64; ++i) { // some of them are each shard's
    added["point"] = fmt::format("worker:do-tasks:mount#{}:entry", i + 1);
    added["replays"] = 1;
    points.push_back(added);
  }
  run(with(sweep, {"--shard", "2/3", "--report", directory / "2"}));
  std::ofstream(directory / "1") << other.dump(2);
  auto different = run(with(merge, {"-o", directory / "different", "--status"}));
  CHECK_THAT(different.out, ContainsSubstring("64 of "));
  CHECK_THAT(different.out, ContainsSubstring("not tried, as the shard whose they are has not recorded them: "));
  auto coverage = document_in(directory / "different")["sweeps"][0]["coverage"];
  CHECK(coverage["planned"].get<int>() - coverage["tried"].get<int>() == 64);
}

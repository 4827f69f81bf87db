// pidleak soak as a user runs it: what is as expected, what deviates and what is kept of it, the load beside it.
#include "harness/cli/cli_test_support.hpp"
#include "harness/os/subreaper.hpp"
#include "reports/temporary_directory.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using nlohmann::json;

namespace {

json document(const std::string &path) { return json::parse(os::read_file(path)); }

/// What came of all replays of the only cell, in the order in which it came.
std::vector<std::string> outcomes_in(const std::string &path) {
  auto soak = document(path)["soak"];
  REQUIRE(soak["cells"].size() == 1);
  std::vector<std::string> all;
  for (const auto &outcome : soak["cells"][0]["outcomes"])
    all.push_back(fmt::format("{} {}{}", outcome["verdict"].get<std::string>(), outcome["count"].get<int>(),
                              outcome["deviates"].get<bool>() ? " !" : ""));
  return all;
}

void needs_python() {
  if (os::find_on_path("python3").empty())
    SKIP("no python3 for the example adapter");
}

/// A pool whose workers end with their owner `replays` times, and from then on outlive it: they hold the pipe open that
/// they read.
std::string pool_that_changes_after(int replays, const std::string &file) {
  const std::string sound = PIDLEAK_BINARY_DIR "/adapters/minimal.py";
  auto text = os::read_file(sound);
  const std::string closes = "os.close(self.feed)  # or";
  text.replace(text.find(closes), closes.size(), "pass  #");
  std::ofstream(file + ".py") << text;
  std::ofstream(file + ".sh") << fmt::format("echo >>{0}\n"
                                             "[ $(wc -l <{0}) -le {1} ] && exec python3 {2}\n"
                                             "exec python3 {0}.py\n",
                                             file, replays, sound);
  return fmt::format("exec:sh {}.sh", file);
}

std::vector<std::string> soak(const std::string &pool, const std::string &report, const std::string &evidence,
                              const std::vector<std::string> &more) {
  std::vector<std::string> all = {"soak",     "--scenario",    "owner-killed", "--start-method",
                                  "fork",     "--oom=sigkill", "--pool",       pool,
                                  "--report", report,          "--evidence",   evidence};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

} // namespace

TEST_CASE("a soak of presets is as their scenarios say, and counts what came", "[cli]") {
  TemporaryDirectory directory;
  auto ran =
      run({"soak", "--replays", "60", "--scenario", "incident,owner-killed", "--oom=sigkill", "--seed", "7", "--jobs",
           "2", "--report", directory / "r", "--markdown", directory / "m", "--evidence", directory / "kept"});
  INFO(ran.out << ran.err);
  CHECK(ran.status == 0);
  CHECK_THAT(os::read_file(directory / "m"), StartsWith("| scenario | start method | "));
  CHECK_THAT(ran.out, ContainsSubstring("60 replays in ") && ContainsSubstring("seed 7: all as expected"));
  auto report = document(directory / "r");
  CHECK(report["soak"]["replays"] == 60);
  for (const auto &cell : report["soak"]["cells"]) {
    INFO(cell);
    CHECK(cell["is_recorded"] == true);
    REQUIRE(cell["outcomes"].size() == 1);
    auto count = cell["outcomes"][0]["count"].get<int>();
    CHECK((count == 3 || count == 4)); // 16 cells: each once, before one comes again
  }
  CHECK(!std::filesystem::exists(directory / "kept"));
  CHECK_THAT(run({"report", directory / "r"}).out, ContainsSubstring("owner-killed"));
}

TEST_CASE("the seed decides the order", "[cli]") {
  TemporaryDirectory directory;
  auto order_of = [&](const std::string &seed) {
    run({"soak", "--replays", "8", "--scenario", "lifetime,owner-killed", "--oom=sigkill", "--seed", seed, "--report",
         directory / "r", "--evidence", directory / "kept"});
    auto report = document(directory / "r");
    std::vector<std::string> order;
    for (const auto &cell : report["soak"]["cells"])
      order.push_back(cell["scenario"].get<std::string>() + " " + cell["pool"].get<std::string>() + " " +
                      cell["conditions"]["start-method"].get<std::string>());
    return order;
  };
  auto first = order_of("1");
  CHECK(first == order_of("1"));
  CHECK(first != order_of("2"));
}

TEST_CASE("a cell that deviates from what came first ends the soak, and its evidence is kept", "[cli]") {
  needs_python();
  TemporaryDirectory directory;
  auto pool = pool_that_changes_after(3, directory / "count");
  auto report = directory / "r", evidence = directory / "kept";
  auto ran = run(soak(pool, report, evidence, {"--replays", "9", "--learn", "2", "--seed", "5"}));
  INFO(ran.out << ran.err);
  CHECK(ran.status == 1);
  CHECK(outcomes_in(report) == std::vector<std::string>{"clean 3", "leaked 1 !"});
  CHECK_THAT(ran.err, ContainsSubstring("leaked 4/0, expected: clean; its evidence is in " + evidence));
  CHECK_THAT(ran.out, ContainsSubstring("leaked 4/0 in 1 of 4 replays, first in number 4; at first: clean"));

  std::vector<std::filesystem::path> kept(std::filesystem::directory_iterator(evidence), {});
  REQUIRE(kept.size() == 1);
  CHECK(document(kept[0] / "report.json")["reports"][0]["remaining"].size() == 4);
  CHECK_THAT(os::read_file(kept[0] / "report.txt"), ContainsSubstring("leaked 4/0, expected: clean"));
  CHECK_THAT(os::read_file(kept[0] / "commands.txt"),
             ContainsSubstring("pidleak run owner-killed") && ContainsSubstring("pidleak soak --seed 5 --replays 4"));

  std::filesystem::remove(directory / "count");
  run(soak(pool, report, evidence, {"--replays", "9", "--learn", "2", "--keep-going"}));
  CHECK(outcomes_in(report) == std::vector<std::string>{"clean 3", "leaked 6 !"});
  std::filesystem::remove(directory / "count"); // its mechanism off: all that comes is right
  CHECK(run(soak(pool, report, evidence, {"--replays", "9", "--learn", "9"})).status == 0);
  CHECK(outcomes_in(report) == std::vector<std::string>{"clean 3", "leaked 6"});
}

TEST_CASE("what a baseline has is expected", "[cli]") {
  needs_python();
  TemporaryDirectory directory;
  auto report = directory / "r", evidence = directory / "kept", baseline = directory / "baseline";
  auto pool = pool_that_changes_after(2, directory / "count");
  run({"run", "owner-killed", "--pool", pool, "--start-method", "fork", "--oom=sigkill", "--report", baseline});
  auto ran = run(soak(pool, report, evidence, {"--replays", "5", "--baseline", baseline}));
  INFO(ran.out << ran.err);
  CHECK(ran.status == 1);
  CHECK(outcomes_in(report) == std::vector<std::string>{"clean 1", "leaked 1 !"});
}

TEST_CASE("what a soak can't do is said at once", "[cli]") {
  check_usage({"soak", "--load", "disk"}, "--load");
  check_usage({"soak", "--load", "cpu=0"}, "must be 1 to 256");
  check_usage({"soak", "--evidence", "/dev/null/kept"}, "--evidence /dev/null/kept: can't be made in /dev/null");
  check_usage({"soak", "--shard", "1/2"}, "--shard");
  auto ran = run({"PATH=/nonexistent", PIDLEAK_BINARY_DIR "/pidleak", "soak", "--load", "cpu"}, "/usr/bin/env");
  CHECK(ran.status == 4);
  CHECK_THAT(ran.err, ContainsSubstring("stress-ng is not on PATH"));
}

TEST_CASE("a load ends with the soak, and with a soak that is killed", "[cli]") {
  if (os::find_on_path("stress-ng").empty())
    SKIP("no stress-ng");
  TemporaryDirectory directory;
  auto arguments = soak("hardened", directory / "r", directory / "kept", {"--load", "cpu=1", "--replays", "3"});
  auto ran = run(arguments);
  INFO(ran.out << ran.err);
  CHECK(ran.status == 0);
  CHECK_THAT(ran.out, ContainsSubstring("beside cpu=1"));
  arguments.back() = "1000000";
  CHECK(run_in_child([&] {
          auto null = os::UniqueFd::adopt(::open("/dev/null", O_WRONLY | O_CLOEXEC));
          auto harness = os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak",
                                     .arguments = arguments,
                                     .standard_output = null.get(),
                                     .standard_error = null.get()});
          wait_until([&] { return os::read_children(harness.pid()).size() > 1; }, "load and replay are there");
          harness.send(SIGKILL);
          os::reap(harness);
          wait_until([] { return os::reap_exited_children(); }, "nothing is left"); // as the subreaper of it all
        }) == "");
}

// pidleak sweep, and run at a point, as a user calls them.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <map>

using namespace pidleak::testing;
using namespace pidleak;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Of each point that leaves something; its verdict.
std::map<std::string, std::string> verdicts_of(const nlohmann::json &report) {
  std::map<std::string, std::string> verdicts;
  for (const auto &one : report["sweeps"][0]["classes"])
    for (const auto &point : one["points"])
      verdicts[point["point"]] = one["verdict"];
  return verdicts;
}

nlohmann::json json_in(const std::string &path) { return nlohmann::json::parse(os::read_file(path)); }

TEST_CASE("hardened leaves nothing at a sample of its points, whatever the fault", "[cli][once]") {
  TemporaryDirectory directory;
  auto path = directory / "sweep.json";
  auto ran = run({"sweep", "--pool", "hardened", "--start-method", "all", "--role", "worker,owner,helper", "--fault",
                  "kill,term,errno", "--sample", "40", "--jobs", "2", "--report", path});
  INFO(ran.out << ran.err);
  CHECK(ran.status == 0);
  auto sweeps = json_in(path)["sweeps"];
  REQUIRE(sweeps.size() == 3);
  for (const auto &sweep : sweeps) {
    CHECK(sweep["coverage"]["planned"] == 40);
    CHECK(sweep["coverage"]["reached"] >= 38);
  }
  CHECK(directory.names() == std::set<std::string>{"sweep.json"});
}

TEST_CASE("a class of points is told by its earliest, and the line that it shows comes to the same", "[cli]") {
  TemporaryDirectory directory;
  auto path = directory / "sweep.json";
  auto ran = run({"sweep", "--pool", "cpython312", "--sigterm", "handler", "--steps", "do-tasks", "--sample", "12",
                  "--repeat", "2", "--jobs", "2", "--report", path, "--junit", directory / "junit.xml", "--markdown",
                  directory / "sweep.md"});
  INFO(ran.out << ran.err);
  REQUIRE(ran.status == 1);
  auto sweep = json_in(path)["sweeps"][0];
  REQUIRE(!sweep["classes"].empty());
  auto first = sweep["classes"][0];
  CHECK_THAT(ran.out,
             ContainsSubstring(fmt::format("pidleak run lifetime --pool cpython312 --workers 2 --sigterm handler "
                                           "--point '{}' --fault kill",
                                           first["points"][0]["point"].get<std::string>())));
  auto again = run({"run", "lifetime", "--pool", "cpython312", "--workers", "2", "--sigterm", "handler", "--point",
                    first["points"][0]["point"], "--fault", "kill"});
  CHECK(again.status == 1);
  CHECK_THAT(again.out, ContainsSubstring(first["verdict"].get<std::string>()));
  CHECK_THAT(again.out, ContainsSubstring("SIGKILL at " + first["points"][0]["point"].get<std::string>()));
  CHECK_THAT(os::read_file(directory / "junit.xml"), ContainsSubstring("coverage"));
  CHECK_THAT(os::read_file(directory / "sweep.md"), ContainsSubstring("EARLIEST POINT"));
}

TEST_CASE("a sweep goes on where it ended, and comes to what an undisturbed one does", "[cli][once]") {
  TemporaryDirectory directory;
  auto sweep = [&](const std::string &name, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"sweep",    "--pool", "hardened", "--steps",       "create-pool",
                                          "--sample", "20",     "--report", directory / name};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  auto whole = sweep("whole.json", {});
  REQUIRE(whole.status == 0);
  auto cut = sweep("cut.json", {"--budget", "200ms"});
  CHECK_THAT(cut.out, ContainsSubstring("goes on"));
  auto before = json_in(directory / "cut.json")["reports"].size();
  auto text = os::read_file(directory / "cut.json"); // as a SIGKILL in the middle of a write leaves it
  std::filesystem::resize_file(directory / "cut.json", text.size() * 9 / 10);
  auto rest = sweep("cut.json", {"--resume", directory / "cut.json"});
  INFO(rest.out << rest.err);
  CHECK(rest.status == 0);
  auto after = json_in(directory / "cut.json");
  CHECK(after["reports"].size() > before);
  CHECK(after["sweeps"][0]["classes"] == json_in(directory / "whole.json")["sweeps"][0]["classes"]);
  CHECK(after["sweeps"][0]["coverage"]["unreached"] == 0);
}

/// Sends the signal once some replays are in the report, and waits for the end.
os::WaitStatus end_early(const std::vector<std::string> &arguments, const std::string &report, int signal) {
  auto child = os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak", .arguments = arguments, .standard_error = -1});
  auto deadline = Deadline::after(3 * hang_bound); // it makes three recordings first, on a machine at full load
  auto has_begun = [&] {
    return std::filesystem::exists(report) && count(os::read_file(report), "\"point_fault\"") >= 3;
  };
  for (Backoff backoff; !has_begun(); os::wait_for_any_exit({}, backoff.next()))
    expect(!deadline.passed() && !child.has_exited(), "three replays are in the report");
  child.send(signal);
  return os::reap(child);
}

TEST_CASE("a sweep that a signal has ended goes on, and comes to the same classes", "[cli][once]") {
  TemporaryDirectory directory;
  // No race decides what comes of this pool: each point has one verdict.
  std::vector<std::string> sweep = {
      "sweep",    "--pool",    "exec:" PIDLEAK_BINARY_DIR "/pidleak-planted-pool does-not-reap-the-new",
      "--role",   "worker",    "--fault",
      "kill",     "--workers", "2",
      "--repeat", "1"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), sweep.begin(), sweep.end());
    return more;
  };
  auto whole = directory / "whole.json";
  auto undisturbed = run(with({"--report", whole}));
  for (int signal : {SIGINT, SIGKILL}) {
    auto path = directory / fmt::format("{}.json", signal);
    auto ended = end_early(with({"--report", path}), path, signal);
    CHECK(ended ==
          (signal == SIGINT ? os::WaitStatus{.value = 130} : os::WaitStatus{.signaled = true, .value = SIGKILL}));
    CHECK(!json_in(path)["reports"].empty()); // whole at any moment
    auto rest = run(with({"--resume", path}));
    INFO(rest.out << rest.err);
    CHECK(rest.status == undisturbed.status);
    CHECK(json_in(path)["sweeps"][0]["coverage"]["unreached"] == 0);
    CHECK(verdicts_of(json_in(path)) == verdicts_of(json_in(whole)));
  }
}

TEST_CASE("a point that no replay comes to is invalid, and never clean", "[cli]") {
  auto ran = run({"run", "lifetime", "--pool", "hardened", "--point", "worker:shut-down:mount#1:entry"});
  CHECK(ran.status == 3);
  CHECK_THAT(ran.out, ContainsSubstring("no process came to worker:shut-down:mount#1:entry"));
}

TEST_CASE("what is no point, fault, role or sweep is told with status 2", "[cli]") {
  check_usage({"run", "lifetime", "--point", "worker"}, "--point worker: not a point");
  check_usage({"run", "lifetime", "--point", "worker:a:read#1:entry", "--fault", "errno"}, "--fault errno: not known");
  check_usage({"run", "lifetime", "--pool", "hardened", "--point", "worker#9:a:read#1:entry"}, "has no such process");
  check_usage({"sweep", "--role", "boss"}, "--role boss: not known");
  check_usage({"sweep", "--fault", "errno:EWHAT"}, "--fault errno:EWHAT: not known");
  check_usage({"sweep", "--steps", "shutdown"}, "did you mean");
  check_usage({"sweep", "--resume", "/no/such/file"}, "can't be read");
  check_usage({"sweep", "--resume", PIDLEAK_SOURCE_DIR "/README.md"}, "not the report of a sweep");
  check_usage({"sweep", "incident", "--race", "count-first"}, "can't be swept");
}

} // namespace

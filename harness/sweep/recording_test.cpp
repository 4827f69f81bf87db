// What a recording lists, held to what another tracer counts.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <sstream>

using namespace pidleak::testing;
using namespace pidleak;

namespace {

/// A shell that forks, waits, reads and writes; and nothing that depends on time.
const std::vector<std::string> command = {"/bin/sh", "-c", "echo one >&2; read x </dev/null; /bin/true; (exit 3); :"};

using Counts = std::map<std::string, int>; // of calls, by name

Counts counted_by_strace(const std::string &strace) {
  TemporaryDirectory directory;
  auto path = directory / "counts";
  std::vector<std::string> arguments = {"-c", "-o", path};
  arguments.insert(arguments.end(), command.begin(), command.end());
  auto ran = run(arguments, strace);
  INFO(ran.err);
  REQUIRE(ran.status == 0);
  Counts counts;
  std::istringstream lines(os::read_file(path));
  for (std::string line; std::getline(lines, line);) { // % time, seconds, usecs/call, calls, errors or not, syscall
    std::istringstream words(line);
    std::string share, seconds, each, calls, word, name;
    words >> share >> seconds >> each >> calls;
    while (words >> word)
      name = word;
    if (share.find_first_not_of("0123456789.") == std::string::npos && !share.empty() && name != "total")
      counts[name] = std::stoi(calls);
  }
  return counts;
}

Counts recorded() {
  TemporaryDirectory directory;
  auto path = directory / "sweep.json";
  std::vector<std::string> arguments = {"sweep", "--fault", "kill", "--sample", "1", "--report", path, "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  auto ran = run(arguments);
  INFO(ran.out << ran.err);
  REQUIRE(ran.status == 0);
  Counts counts;
  auto document = nlohmann::json::parse(os::read_file(path));
  for (const auto &report : document["reports"])
    for (const auto &process : report.value("recording", nlohmann::json::array()))
      if (process["actor"] == "command")
        for (const auto &recorded : process["points"]) {
          auto point = recorded["point"].get<std::string>(); // command:run:CALL#K:entry
          if (point.ends_with(":entry")) {
            auto call = point.substr(point.find(':', point.find(':') + 1) + 1);
            ++counts[call.substr(0, call.find('#'))];
          }
        }
  return counts;
}

TEST_CASE("a recording has the calls that strace counts, each of them", "[sweep]") {
  auto strace = os::find_on_path("strace");
  if (strace.empty())
    SKIP("strace is not there: apt-get install strace");
  auto witness = counted_by_strace(strace);
  witness.erase("execve");   // by which it becomes the command
  witness["exit_group"] = 1; // which strace does not count, as it does not return
  CHECK(recorded() == witness);
}

} // namespace

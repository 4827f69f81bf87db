// What the virtual machine brought back: the scenarios on cgroup v2 with the memory controller, as root and as an
// ordinary user. ci/vm/boot has run before; ci/vm/job says what ran inside.
#include "harness/base/spelling.hpp"
#include "harness/os/pipe.hpp"
#include "reports/report.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

namespace {

using namespace pidleak;
using reports::Report;
using reports::Tier;
using reports::Verdict;

std::vector<Report> reports_from(const std::string &file) {
  const std::string directory = PIDLEAK_VM_RESULTS;
  if (std::filesystem::exists(directory + "/skipped"))
    SKIP(os::read_file(directory + "/skipped"));
  auto document = nlohmann::ordered_json::parse(os::read_file(directory + "/results/" + file));
  std::vector<Report> all;
  for (const auto &json : document.at("reports"))
    all.push_back(reports::from_json(json));
  return all;
}

Report find(const std::vector<Report> &all, const std::string &scenario, const std::string &pool,
            const std::string &method = "fork") {
  auto found = std::find_if(all.begin(), all.end(), [&](const Report &r) {
    return r.scenario == scenario && r.pool == pool && r.conditions.at("start-method") == method;
  });
  REQUIRE(found != all.end());
  return *found;
}

/// The fault was the kernel's: its counter says one kill.
void check_oom_kill_counted(const Report &report) {
  auto death = std::find_if(report.evidence.begin(), report.evidence.end(),
                            [](const auto &evidence) { return evidence.condition == "death"; });
  REQUIRE(death != report.evidence.end());
  INFO(death->text);
  CHECK(death->shown);
  CHECK(death->facts.at("oom_kill delta") == "1");
}

} // namespace

TEST_CASE("on cgroup v2 as root, the incident on cpython36 leaks 3 live workers after a counted OOM kill", "[vm]") {
  auto report = find(reports_from("root.json"), "incident", "cpython36");
  INFO(report.reason);
  CHECK(report.verdict == Verdict::leaked);
  CHECK(report.live == 3);
  CHECK(report.zombies == 0);
  CHECK(report.tier == Tier::namespace_cgroup);
  check_oom_kill_counted(report);
}

TEST_CASE("on cgroup v2 as root, the incident on cpython312 hangs", "[vm]") {
  auto report = find(reports_from("root.json"), "incident", "cpython312");
  INFO(report.reason);
  CHECK(report.verdict == Verdict::hung);
  CHECK(report.live == 3);
  check_oom_kill_counted(report);
}

TEST_CASE("on cgroup v2 as root, everything on hardened is clean", "[vm]") {
  auto all = reports_from("root.json");
  auto incident = reports_from("root-hardened.json");
  all.insert(all.end(), incident.begin(), incident.end());
  int seen = 0;
  for (const auto &report : all)
    if (report.pool == "hardened") {
      INFO(report.scenario << " with " << report.conditions.at("start-method") << ": " << report.reason);
      CHECK(report.verdict == Verdict::clean);
      CHECK(report.census_complete);
      CHECK(report.cgroup_agrees == true);
      CHECK(report.nothing_left_below == true);
      ++seen;
    }
  CHECK(seen >= 10); // each scenario with fork, and some with the other start methods
}

TEST_CASE("on cgroup v2 as an ordinary user, the inherited handler is replayed at a lower tier", "[vm]") {
  auto all = reports_from("user.json");
  for (const auto &report : all) {
    INFO(report.pool << ": " << report.reason);
    CHECK(report.user == 1000);
    CHECK(report.tier == Tier::namespace_);
    CHECK_FALSE(report.tier_notes.empty());
    CHECK(report.verdict == (report.pool == "cpython312" ? Verdict::hung : Verdict::clean));
  }
  CHECK(all.size() == 4);
}

TEST_CASE("on cgroup v2 as an ordinary user, a real OOM kill is skipped with its reason", "[vm]") {
  for (const auto &report : reports_from("user-oom.json")) {
    CHECK(report.verdict == Verdict::skipped);
    INFO(report.reason);
    CHECK(report.reason.find("no memory cgroup") != std::string::npos);
  }
}

TEST_CASE("on cgroup v2 as an ordinary user, a substitute for the OOM kill is named as such", "[vm]") {
  for (const auto &report : reports_from("user-substitute.json")) {
    CHECK(report.verdict == Verdict::clean);
    bool named = std::any_of(report.evidence.begin(), report.evidence.end(),
                             [](const auto &evidence) { return evidence.facts.contains("substitute"); });
    CHECK(named);
  }
}

TEST_CASE("on cgroup v2 the weakest tier works and says what it is", "[vm]") {
  auto all = reports_from("user-subreaper.json");
  REQUIRE(all.size() == 1);
  CHECK(all.front().tier == Tier::subreaper);
  CHECK(all.front().verdict == Verdict::clean);
}

TEST_CASE("the virtual machine has no cgroup or scratch directory left", "[vm]") {
  (void)reports_from("root.json");
  CHECK(os::read_file(std::string(PIDLEAK_VM_RESULTS) + "/results/left.txt").empty());
}

// The trace, read back as JSON. The rules of its format are checked by reports/check_renderings.
#include "reports/sample_verdicts.hpp"
#include "reports/trace.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

namespace {

Report replay() {
  auto report = leaked();
  report.timeline = {{.at_ms = 1, .event = "subject-started", .pid = 2, .detail = ""},
                     {.at_ms = 2, .event = "spawned", .pid = 3, .detail = "worker"},
                     {.at_ms = 2.5, .event = "spawned", .pid = 4, .detail = "worker"},
                     {.at_ms = 3, .event = "task-started", .pid = 3, .detail = "task 0"},
                     {.at_ms = 3.5, .event = "task-started", .pid = 4, .detail = "task 1"},
                     {.at_ms = 4, .event = "fault", .pid = 4, .detail = "SIGKILL"},
                     {.at_ms = 5, .event = "exited", .pid = 4, .detail = "killed by SIGKILL"},
                     {.at_ms = 6, .event = "pool-broken", .pid = {}, .detail = ""},
                     {.at_ms = 7, .event = "shutdown-called", .pid = {}, .detail = ""},
                     {.at_ms = 8, .event = "tasks-released", .pid = {}, .detail = ""},
                     {.at_ms = 9, .event = "task-started", .pid = 3, .detail = "task 2"},
                     {.at_ms = 10, .event = "remains", .pid = 3, .detail = "live"},
                     {.at_ms = 10, .event = "remains", .pid = 4, .detail = "zombie"}};
  report.remaining = {live_worker(3), zombie_worker(4)};
  report.total_ms = 20;
  return report;
}

nlohmann::json events_of(const std::vector<Report> &reports) {
  return nlohmann::json::parse(render_trace(reports)).at("traceEvents");
}

/// `FROM+DURATION` of the spans with this name, in microseconds, and their args' member.
std::vector<std::string> spans(const nlohmann::json &events, const std::string &name, const std::string &member = "") {
  std::vector<std::string> found;
  for (const auto &event : events)
    if (event.at("ph") == "X" && event.at("name") == name)
      found.push_back(fmt::format("{}+{}", event.at("ts").get<int>(), event.at("dur").get<int>()) +
                      (member.empty() ? "" : " " + event.at("args").at(member).dump()));
  return found;
}

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("a trace has a span for each life, zombie, task and shutdown", "[report]") {
  auto events = events_of({replay()});
  CHECK(spans(events, "leaked") == Texts{"0+20000"});
  CHECK(spans(events, "alive") == Texts{"1000+19000", "2500+2500"}); // the subject, the victim
  CHECK(spans(events, "remains", "kind") == Texts{"2000+18000 \"live\""});
  CHECK(spans(events, "zombie", "kind") == Texts{"5000+15000 \"zombie\""});
  CHECK(spans(events, "shutdown", "returned") == Texts{"7000+13000 false"});
  CHECK(spans(events, "task 0", "end") == Texts{"3000+6000 \"the next task\""});
  CHECK(spans(events, "task 1", "end") == Texts{"3500+1500 \"with its process\""});
  CHECK(spans(events, "task 2", "end") == Texts{"9000+0 \"not told\""});
}

TEST_CASE("faults, signals and a broken pool are instants of a trace", "[report]") {
  Texts instants;
  for (const auto &event : events_of({replay()}))
    if (event.at("ph") == "i")
      instants.push_back(event.at("name"));
  CHECK(instants == Texts{"fault", "pool-broken", "tasks-released"});
}

TEST_CASE("several replays of a trace share no process number, though their pids are the same", "[report]") {
  std::set<int> numbers;
  int processes = 0;
  for (const auto &event : events_of({replay(), replay()}))
    if (event.at("name") == "process_name") {
      ++processes;
      numbers.insert(event.at("pid").get<int>());
    }
  CHECK(processes == 8);
  CHECK(numbers.size() == 8);
}

TEST_CASE("a trace of nothing, of a replay without a timeline and of hostile names is still one", "[report]") {
  CHECK(events_of({}).empty());
  CHECK(spans(events_of({skipped("incident", "cpython37")}), "skipped") == Texts{"0+0"});
  auto report = replay();
  report.scenario = report.pool = report.remaining[0].comm = hostile;
  for (auto &event : report.timeline)
    event.detail = hostile;
  report.timeline.push_back({.at_ms = 0, .event = hostile, .pid = 99, .detail = hostile});
  CHECK_FALSE(events_of({report, full_report()}).empty());
}

TEST_CASE("a trace of a command has every process in the first lane that is free", "[report]") {
  auto report = leaked();
  report.total_ms = 20;
  report.lives = {
      .processes = {{.pid = 2, .parent = {}, .command_line = {"make"}, .started_ms = 0, .ended_ms = 10},
                    {.pid = 3, .parent = 0, .command_line = {"/bin/cc"}, .started_ms = 1, .ended_ms = 4},
                    {.pid = 4, .parent = 0, .command_line = {"cc", "b.c"}, .started_ms = 2, .ended_ms = 5},
                    {.pid = 5, .parent = 0, .command_line = {"cc", "c.c"}, .started_ms = 4, .ended_ms = {}}},
      .left_out = 0};
  auto events = events_of({report});
  CHECK(spans(events, "make") == Texts{"0+10000"});
  CHECK(spans(events, "cc", "created by") == Texts{"1000+3000 \"make\"", "2000+3000 \"make\"", "4000+16000 \"make\""});
  std::vector<int> lanes;
  for (const auto &event : events)
    if (event.at("name") == "cc")
      lanes.push_back(event.at("tid").get<int>() - event.at("pid").get<int>());
  CHECK(lanes == std::vector{1, 2, 1});
}

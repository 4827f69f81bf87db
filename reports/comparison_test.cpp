// Reports side by side, and presets held against real pools.
#include "reports/comparison.hpp"
#include "reports/sample_reports.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak;
using namespace pidleak::reports;

namespace {

Report replay_of(const std::string &pool, Verdict verdict, int live = 0, int zombies = 0,
                 const std::string &start_method = "fork") {
  auto report = testing::minimal_report();
  report.pool = pool;
  report.conditions = {{"start-method", start_method}};
  report.verdict = verdict;
  report.live = live;
  report.zombies = zombies;
  report.total_ms = 12.4;
  return report;
}

/// How many cells were compared, and in how many the preset does otherwise than the real pool.
std::pair<int, std::size_t> held_against(const std::vector<Report> &preset, const std::vector<Report> &other_order,
                                         const std::vector<Report> &real) {
  auto all = preset;
  all.insert(all.end(), real.begin(), real.end());
  int compared = 0;
  auto differences = find_differences(compare(all), compare(other_order), "cpython36", "python:3.6.15", compared);
  return {compared, differences.size()};
}

const auto one_leaked = replay_of("cpython36", Verdict::leaked, 3, 0);

} // namespace

TEST_CASE("a row for each scenario and start method, a column for each pool", "[report]") {
  auto table = compare({replay_of("a", Verdict::clean), replay_of("b|c", Verdict::leaked, 3, 1),
                        replay_of("a", Verdict::clean), replay_of("a", Verdict::hung, 3, 0, "spawn")});
  CHECK(table.pools == std::vector<std::string>{"a", "b|c"});
  REQUIRE(table.rows.size() == 2);
  CHECK(replays_in(table.rows[0].cells[0]) == 2);
  CHECK(render_comparison(table, {.times = true}) ==
        "SCENARIO  START  a                b|c\n"
        "incident  fork   clean  12 ms     leaked 3/1  12 ms\n"
        "incident  spawn  hung 3/0  12 ms  -\n"
        "leaked and hung with the numbers of live/zombie workers that remain; 1 to 2 replays a cell\n");
  CHECK(render_comparison_markdown(table) == "| scenario | start method | a | b\\|c |\n"
                                             "|---|---|---|---|\n"
                                             "| incident | fork | clean, 12 ms | leaked 3/1, 12 ms |\n"
                                             "| incident | spawn | hung 3/0, 12 ms | - |\n");
}

TEST_CASE("what servers did besides stands in their cells, each once, and how workers notice in the last row",
          "[report]") {
  auto report = replay_of("server:a", Verdict::leaked, 1);
  report.evidence = {
      {.condition = "held-up", .shown = true, .text = "", .facts = {{"master", "1"}, {"workers", "1"}}},
      {.condition = "left", .shown = true, .text = "", .facts = {{"since", "SIGTERM"}, {"worker 1 s", "14.92"}}},
      {.condition = "request", .shown = true, .text = "", .facts = {{"request", "dropped"}}},
      {.condition = "port", .shown = true, .text = "", .facts = {{"127.0.0.1:80", "3"}}},
      {.condition = "serves", .shown = true, .text = "", .facts = {{"answered", "8"}, {"pids", "3"}}},
      {.condition = "replaced", .shown = true, .text = "", .facts = {{"replaced", "yes"}, {"zombie", "yes"}}},
      {.condition = "notices", .shown = true, .text = "", .facts = {{"how", "timer"}}}};
  auto text = render_comparison_markdown(compare({report, report, replay_of("server:b", Verdict::clean)}));
  CHECK(text ==
        "| scenario | start method | server:a | server:b |\n"
        "|---|---|---|---|\n"
        "| incident | fork | leaked 1/0, 12 ms<br>the master and 1 worker wait for the request<br>1 worker left "
        "within 14.9 s of SIGTERM<br>the request was dropped<br>127.0.0.1:80 is held by 1 process<br>1 process still "
        "answers<br>the dead worker stays a zombie | "
        "clean, 12 ms |\n"
        "| a worker notices its master's death by | | timer | - |\n");
}

TEST_CASE("replays that came out differently are told by number", "[report]") {
  CHECK(describe(Tallies({one_leaked, replay_of("cpython36", Verdict::clean), one_leaked}).all()) ==
        "2 leaked 3/0, 1 clean");
  CHECK(describe({}) == "-");
}

TEST_CASE("a preset that does as its real pool is faithful", "[report]") {
  CHECK(held_against({one_leaked}, {one_leaked}, {replay_of("python:3.6.15", Verdict::leaked, 3, 0)}) ==
        std::pair(1, 0UL));
}

TEST_CASE("one that does otherwise is not, in verdict or in number", "[report]") {
  for (const auto &real :
       {replay_of("python:3.6.15", Verdict::clean), replay_of("python:3.6.15", Verdict::hung, 3, 0),
        replay_of("python:3.6.15", Verdict::leaked, 2, 0), replay_of("python:3.6.15", Verdict::leaked, 3, 1)})
    CHECK(held_against({one_leaked}, {one_leaked}, {real}) == std::pair(1, 1UL));
}

TEST_CASE("where a race decides, a real pool may do anything between both orders, and nothing else", "[report]") {
  auto zombies = [](int count) { return replay_of("python:3.6.15", Verdict::leaked, 0, count); };
  auto preset = {replay_of("cpython36", Verdict::leaked, 0, 4)}, other = {replay_of("cpython36", Verdict::clean)};
  CHECK(held_against(preset, other, {zombies(4)}).second == 0);
  CHECK(held_against(preset, other, {zombies(2)}).second == 0);
  CHECK(held_against(preset, other, {replay_of("python:3.6.15", Verdict::clean)}).second == 0);
  CHECK(held_against(preset, other, {zombies(5)}).second == 1);
  CHECK(held_against(preset, other, {replay_of("python:3.6.15", Verdict::hung, 0, 4)}).second == 1);
}

TEST_CASE("what one of the two skips is not compared", "[report]") {
  CHECK(held_against({one_leaked}, {one_leaked}, {replay_of("python:3.6.15", Verdict::skipped)}) == std::pair(0, 0UL));
  CHECK(held_against({replay_of("cpython36", Verdict::skipped)}, {}, {replay_of("python:3.6.15", Verdict::clean)}) ==
        std::pair(0, 0UL));
}

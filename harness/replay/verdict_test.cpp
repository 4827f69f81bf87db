#include "harness/replay/verdict.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak;
using namespace pidleak::replay;
using reports::Report;
using reports::Verdict;

namespace {

const ShutdownFacts returned{.called = true, .returned = true, .management_thread_exception = ""};

Verdict verdict(const Report &report, const ShutdownFacts &shutdown = returned) {
  return judge(Scenario{}, report, shutdown).verdict;
}

} // namespace

TEST_CASE("a process that remains after shutdown makes a leak, unless it is a helper", "[verdict]") {
  CHECK(verdict({}) == Verdict::clean);
  CHECK(verdict({.live = 3}) == Verdict::leaked);
  CHECK(verdict({.zombies = 1}) == Verdict::leaked);
  CHECK(verdict({.helpers = 2}) == Verdict::clean);
  CHECK(judge(Scenario{}, {.live = 3, .zombies = 1}, returned).reason ==
        "3 live workers and 1 zombie remain after shutdown returned");
}

TEST_CASE("what ended the management thread is part of the reason", "[verdict]") {
  auto shutdown = returned;
  shutdown.management_thread_exception = "queue.Full";
  CHECK(judge(Scenario{}, {.live = 3}, shutdown).reason ==
        "3 live workers remain after shutdown returned; queue.Full had ended the management thread");
}

TEST_CASE("a shutdown that was called and never returned is a hang, with or without workers", "[verdict]") {
  CHECK(verdict({}, {.called = true}) == Verdict::hung);
  CHECK(verdict({.live = 1}, {.called = true}) == Verdict::hung);
  CHECK(verdict({}, {.called = false}) == Verdict::clean);
}

TEST_CASE("a process that outlives the pool's owner is a leak, helpers included", "[verdict]") {
  ShutdownFacts ownerless{.owner_is_gone = true};
  CHECK(verdict({}, ownerless) == Verdict::clean);
  Report report{.helpers = 1};
  report.remaining.push_back({.kind = census::Kind::helper});
  CHECK(verdict(report, ownerless) == Verdict::leaked);
  CHECK(judge(Scenario{}, report, ownerless).reason == "1 helper outlived the pool's owner");
}

TEST_CASE("a condition that was not shown makes a replay invalid, whatever remains", "[verdict]") {
  reports::Evidence not_shown{.condition = "death", .shown = false, .text = "worker 7 survived", .facts = {}};
  CHECK(verdict({.live = 3, .evidence = {not_shown}}) == Verdict::invalid);
  CHECK(judge(Scenario{}, {.evidence = {not_shown}}, returned).reason == "the fault was not shown: worker 7 survived");
  CHECK(verdict({.evidence = {not_shown}}, {.called = true}) == Verdict::invalid);

  auto shown = not_shown;
  shown.shown = true;
  CHECK(verdict({.evidence = {shown}}) == Verdict::clean);

  Scenario does_not_ask{.must_show = {MustShow::queue}};
  CHECK(judge(does_not_ask, {.evidence = {not_shown}}, returned).verdict == Verdict::clean);
}

TEST_CASE("a census that missed what the cgroup lists breaks the replay, unless it never claimed to be complete",
          "[verdict]") {
  CHECK(verdict({.census_complete = true, .cgroup_agrees = false}) == Verdict::broken);
  CHECK(verdict({.census_complete = false, .cgroup_agrees = false}) == Verdict::clean);
  CHECK(verdict({.census_complete = true, .cgroup_agrees = true}) == Verdict::clean);
}

TEST_CASE("no process may outlive the subject, helpers included", "[verdict]") {
  Report report{.nothing_left_below = true};
  CHECK(judge_after_subject(report).verdict == Verdict::clean);
  report.remaining.push_back({.kind = census::Kind::helper});
  CHECK(judge_after_subject(report).verdict == Verdict::leaked);
  CHECK(judge_after_subject(report).reason == "a process outlived the subject");
  report.remaining.clear();
  report.nothing_left_below = false; // two witnesses disagree: neither is to be believed
  CHECK(judge_after_subject(report).verdict == Verdict::broken);
}

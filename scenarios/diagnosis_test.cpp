// The causes that a replay of the incident names: on the presets, and on the interpreters that they model.
#include "harness/cli/pools.hpp"
#include "harness/replay/run.hpp"
#include "scenarios/cases.hpp"
#include "scenarios/scenarios.hpp"

#include <catch2/matchers/catch_matchers_string.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace {

using namespace pidleak;
using census::Cause;
using census::RemainingProcess;

bool has_cause(const RemainingProcess &process, Cause cause) {
  return std::any_of(process.diagnosis.begin(), process.diagnosis.end(),
                     [&](const auto &finding) { return finding.cause == cause; });
}

std::string text_of(const RemainingProcess &process, Cause cause) {
  for (const auto &finding : process.diagnosis)
    if (finding.cause == cause)
      return finding.text;
  return "";
}

/// One worker reads the call queue's pipe, whose write end its siblings hold; the others wait for the lock that it has.
void check_workers(const reports::Report &report) {
  std::vector<const RemainingProcess *> readers, waiters;
  for (const auto &process : report.remaining) {
    if (process.state == census::ProcessState::zombie) {
      CHECK(has_cause(process, Cause::not_reaped));
      continue;
    }
    CHECK_THAT(text_of(process, Cause::sigterm_caught),
               Catch::Matchers::ContainsSubstring("inherited from the pool's owner"));
    (has_cause(process, Cause::pipe_held_open) ? readers : waiters).push_back(&process);
  }
  REQUIRE(readers.size() == 1);
  CHECK(waiters.size() == 2);
  for (const auto *waiter : waiters) {
    auto text = text_of(*waiter, Cause::waits_for_lock);
    CHECK_THAT(text, Catch::Matchers::ContainsSubstring(fmt::format("may be held by pid {},", readers[0]->pid)));
    CHECK_THAT(text_of(*readers[0], Cause::pipe_held_open),
               Catch::Matchers::ContainsSubstring(fmt::format("pid {}", waiter->pid)));
  }
}

/// Where shutdown hangs: a thread waits for a worker to end, and the main thread for that thread.
void check_owner(const reports::Report &report) {
  REQUIRE(report.owner);
  CHECK(has_cause(*report.owner, Cause::waits_for_child));
  CHECK(has_cause(*report.owner, Cause::waits_for_lock));
}

const bool diagnoses_added = [] {
  for (const std::string pool : {"cpython36", "cpython312", "python:3.6", "python:3.12", "python:3.13"})
    cases::add(fmt::format("what keeps the incident's workers on {} is named", pool), {"scenario", "diagnosis"}, [=] {
      auto report = replay::run({.scenario = cases::scenario("incident"), .pool = cli::choose_pools({pool}).front()});
      if (report.verdict == reports::Verdict::skipped)
        SKIP(report.reason);
      INFO(report.reason);
      check_workers(report);
      if (report.verdict == reports::Verdict::hung)
        check_owner(report);
      CHECK((report.verdict == reports::Verdict::hung) ==
            (pool.find("36") == pool.npos && pool.find("3.6") == pool.npos));
      CHECK(report.settled_by == reports::SettledBy::quiescence);
    });
  return true;
}();

} // namespace

TEST_CASE("a worker that was killed with the queue's lock in hand is named by those that wait for it",
          "[scenario][diagnosis]") {
  auto report = replay::run(cases::plan(cases::scenario("killed-holding-the-lock"), "cpython37", StartMethod::fork));
  REQUIRE(report.verdict == reports::Verdict::hung);
  for (const auto &process : report.remaining)
    if (process.state != census::ProcessState::zombie)
      CHECK_THAT(text_of(process, Cause::lock_of_the_dead),
                 Catch::Matchers::ContainsSubstring("was killed while it held the lock"));
}

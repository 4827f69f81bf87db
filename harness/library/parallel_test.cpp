// Guards in several threads at once: who is blamed for what, and what is said where that is not known.
#include "harness/library/library_test_support.hpp"

#include <fmt/ranges.h>

#include <latch>
#include <optional>
#include <thread>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// Runs all in threads of their own, and hands on the first that fails.
void in_threads(const std::vector<std::function<void()>> &bodies) {
  std::vector<std::string> failures(bodies.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < bodies.size(); ++i)
      threads.emplace_back([&, i] {
        try {
          bodies[i]();
        } catch (const std::exception &e) {
          failures[i] = e.what();
        }
      });
  }
  for (const auto &failure : failures)
    if (!failure.empty())
      throw std::runtime_error(failure);
}

} // namespace

TEST_CASE("a child of another guard's thread is not blamed on this one; on a thread without guard it is", "[library]") {
  for (bool other_is_guarded : {true, false})
    check_in_plain_child([=] {
      std::latch guarded(2), planted(1), judged(1);
      in_threads({[&] {
                    std::optional<Guard> guard;
                    if (other_is_guarded)
                      guard.emplace(GuardOptions{.name = "leaking", .grace = never});
                    guarded.arrive_and_wait();
                    auto child = plant([] { plant(); });
                    planted.count_down();
                    judged.wait();
                    if (guard) {
                      auto findings = guard->check();
                      expect_equal(findings.remaining.size(), 2U, "its own, and the child's");
                      expect(findings.remaining[0].may_be_of.empty(), "there is no doubt; " + findings.text);
                      expect(guard->end_remaining(), "they could be ended");
                    }
                  },
                  [&] {
                    Guard guard({.name = "clean", .grace = never});
                    guarded.arrive_and_wait();
                    planted.wait();
                    auto findings = guard.check();
                    judged.count_down();
                    expect_equal(findings.remaining.size(), other_is_guarded ? 0U : 2U, "what it is blamed for");
                    expect(findings.tolerated.empty(), "and no more is said; " + findings.text);
                  }});
    });
}

TEST_CASE("an orphan that may be another guard's is left to it, and counted by the last, which says so", "[library]") {
  check_in_plain_child([] {
    std::latch guarded(2), planted(1), judged(1);
    in_threads({[&] {
                  Guard guard({.name = "the one with the daemon", .grace = never});
                  guarded.arrive_and_wait();
                  start_daemon(true);
                  planted.count_down();
                  judged.wait();
                  auto findings = guard.check();
                  expect_equal(only(findings).may_be_of, std::vector<std::string>{"the other"}, "the doubt");
                  expect_part(findings.text, "it may belong to another guard");
                  expect(guard.end_remaining(), "nothing is left that may be ended");
                },
                [&] {
                  Guard guard({.name = "the other", .grace = never});
                  guarded.arrive_and_wait();
                  planted.wait();
                  auto findings = guard.check();
                  expect_clean(findings);
                  expect_part(findings.tolerated.at(0).tolerated_because, "the one with the daemon");
                  expect_part(findings.text, "left to the guards that have not been checked yet");
                  expect(guard.end_remaining(), "nothing of its own is there");
                  expect_equal(os::read_children(::getpid()).size(), 1U, "and the daemon was spared");
                  judged.count_down();
                }});
    // The guards overlapped; alone there is no doubt.
    Guard guard({.grace = never});
    start_daemon(true);
    expect(only(guard.check()).may_be_of.empty(), "no doubt");
    expect(guard.end_remaining(), "it could be ended");
  });
}

TEST_CASE("a child of a thread that has ended may belong to any guard, and the only guard's where there is one",
          "[library]") {
  for (bool alone : {true, false})
    check_in_plain_child([=] {
      Guard guard({.grace = never});
      std::latch guarded(2), planted(1), over(1);
      std::jthread other([&] {
        std::optional<Guard> its_own;
        if (!alone)
          its_own.emplace(GuardOptions{.name = "other", .grace = never});
        guarded.arrive_and_wait();
        planted.wait();
        if (its_own)
          its_own->check();
        over.count_down();
      });
      guarded.arrive_and_wait();
      std::thread([] { plant(); }).join();
      planted.count_down();
      over.wait();
      expect_equal(only(guard.check()).may_be_of.size(), alone ? 0U : 1U, "others that it may be of");
    });
}

TEST_CASE("threads that fork and wait all the time: no guard blames its own thread, nor another", "[library]") {
  check_in_plain_child([] {
    constexpr int rounds = 20;
    auto body = [] {
      for (int round = 0; round < rounds; ++round) {
        Guard guard({.grace = ample});
        auto child = start([] {});
        os::reap(child);
        expect_clean(guard.check());
      }
    };
    in_threads({body, body, body, body});
    expect_no_child();
    expect(!os::is_subreaper(), "and the last one has ended the adopting");
  });
}

TEST_CASE("the same where one of the threads leaks: every leak is found by its own guard alone", "[library]") {
  check_in_plain_child([] {
    constexpr int rounds = 10;
    auto body = [](bool leaks) {
      return [=] {
        for (int round = 0; round < rounds; ++round) {
          Guard guard({.grace = leaks ? never : milliseconds(ample)});
          auto child = start([] {});
          if (!leaks)
            os::reap(child);
          auto findings = guard.check();
          expect_equal(findings.remaining.size(), leaks ? 1U : 0U, findings.text);
          expect(guard.end_remaining(), "it could be ended");
        }
      };
    };
    in_threads({body(true), body(false), body(true), body(false)});
    expect_no_child();
  });
}

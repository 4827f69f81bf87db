// What ends the wait, and what must not: by looks that are given, so that each order of events can be tried.
#include "harness/census/settle.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak;
using census::SettledBy;
using census::Sight;

namespace {

const census::Member one{.pid = 3, .start_ticks = 1, .state = census::ProcessState::sleeping};

Sight sees_one() { return {.walk = {.members = {one}, .complete = true}, .to_leave = {one}}; }
Sight sees_none() { return {.walk = {.members = {}, .complete = true}}; }
census::Rest stuck(const census::Walk &) { return {.certain = true, .why_not = ""}; }
bool hears_nothing(std::chrono::microseconds, const std::vector<int> &) { return false; }

/// Looks once, and no more.
census::Settled settle_once(const Sight &sight) {
  bool looked = false;
  return census::settle({.see =
                             [&] {
                               looked = true;
                               return sight;
                             },
                         .rest = stuck,
                         .wait = hears_nothing,
                         .is_over = [&] { return looked; }});
}

} // namespace

TEST_CASE("what is stuck ends the wait, and what has left does", "[census]") {
  CHECK(settle_once(sees_one()).by == SettledBy::quiescence);
  CHECK(settle_once(sees_none()).by == SettledBy::all_gone);
}

TEST_CASE("what is said while processes come to rest is heard before they are called stuck", "[census]") {
  bool at_rest = false, said = false;
  auto settled = census::settle({.see = [&] { return said ? sees_none() : sees_one(); },
                                 .rest =
                                     [&](const auto &walk) {
                                       at_rest = true;
                                       return stuck(walk);
                                     },
                                 .wait = [&](auto, const auto &) { return at_rest && !std::exchange(said, true); },
                                 .is_over = [] { return false; }});
  CHECK(settled.by == SettledBy::all_gone);
}

TEST_CASE("what this user may not see has not gone, and is not called stuck", "[census]") {
  auto hidden = sees_none();
  hidden.walk.hidden = {7};
  CHECK(settle_once(hidden).by == SettledBy::deadline);
  hidden.walk.members = {one};
  CHECK(settle_once(hidden).by == SettledBy::deadline);
  CHECK(settle_once(hidden).why_not_quiescent == "not all may be seen in /proc");
}

TEST_CASE("a census that does not see everything calls nothing stuck", "[census]") {
  auto sight = sees_one();
  sight.walk.complete = false;
  CHECK(settle_once(sight).by == SettledBy::deadline);
  CHECK(settle_once(sight).why_not_quiescent == "the census does not see everything");
}

TEST_CASE("that all have left is not enough where something else must have happened", "[census]") {
  bool returned = false;
  auto settled = census::settle({.see = sees_none,
                                 .rest = stuck,
                                 .wait =
                                     [&](auto at_most, const auto &) {
                                       returned = returned || at_most.count() > 0;
                                       return false;
                                     },
                                 .done = [&] { return returned; },
                                 .is_over = [] { return false; }});
  CHECK(settled.by == SettledBy::all_gone);
  CHECK(returned);
}

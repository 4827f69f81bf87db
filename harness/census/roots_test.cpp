// Who keeps whom: chains, circles, and what waits for both.
#include "harness/census/roots.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak::census;

namespace {

RemainingProcess one(pid_t pid, std::vector<pid_t> waits_for = {}) {
  RemainingProcess made;
  made.pid = pid;
  made.diagnosis = {{.cause = Cause::unknown, .text = "", .waits_for = std::move(waits_for)}};
  return made;
}

std::vector<pid_t> roots_of(std::vector<RemainingProcess> processes) {
  find_roots(processes);
  std::vector<pid_t> roots;
  for (const auto &process : processes)
    if (process.is_root)
      roots.push_back(process.pid);
  return roots;
}

std::vector<pid_t> order_of(std::vector<RemainingProcess> processes) {
  find_roots(processes);
  order_by_roots(processes);
  std::vector<pid_t> order;
  for (const auto &process : processes)
    order.push_back(process.pid);
  return order;
}

using Pids = std::vector<pid_t>;

} // namespace

TEST_CASE("who waits for no other is a root, and so is every part of a circle", "[census]") {
  CHECK(roots_of({one(3), one(4)}) == Pids{3, 4});
  CHECK(roots_of({one(3, {5}), one(4, {3}), one(5)}) == Pids{5});
  CHECK(roots_of({one(3, {4}), one(4, {3}), one(5, {4})}) == Pids{3, 4});
  CHECK(roots_of({one(3, {4}), one(4, {3, 5}), one(5)}) == Pids{5}); // a circle that waits itself
  CHECK(roots_of({one(3, {4}), one(4, {5}), one(5, {6}), one(6, {4}), one(7, {3})}) == Pids{4, 5, 6});
  CHECK(roots_of({one(3, {99})}) == Pids{3}); // which is not among them
  CHECK(roots_of({}).empty());
}

TEST_CASE("behind each root is what waits for it, the nearest first", "[census]") {
  CHECK(order_of({one(3, {5}), one(4, {3}), one(5), one(6)}) == Pids{5, 3, 4, 6});
  CHECK(order_of({one(3), one(4), one(5, {3})}) == Pids{3, 5, 4});
  CHECK(order_of({one(3, {6, 4}), one(4), one(6)}) == Pids{4, 3, 6});
}

TEST_CASE("very many in a chain are ordered without a deep stack", "[census]") {
  std::vector<RemainingProcess> chain;
  constexpr pid_t length = 100000;
  for (pid_t pid = 1; pid < length; ++pid)
    chain.push_back(one(pid, {pid + 1}));
  chain.push_back(one(length));
  auto order = order_of(std::move(chain));
  CHECK(order.front() == length);
  CHECK(order.back() == 1);
}

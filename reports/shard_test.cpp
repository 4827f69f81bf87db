// Whose a cell is, and labels of merged shards.
#include "harness/base/stable_hash.hpp"
#include "harness/os/test_support.hpp"
#include "reports/document.hpp"
#include "reports/sample_verdicts.hpp"
#include "reports/shard.hpp"
#include "reports/terminal.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <array>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("names are dealt out evenly, and the same for ever", "[report]") {
  CHECK(hash_text(stable_hash("hardened")) == "50d112d2021a663f");
  CHECK(hash_text(stable_hash("")) == "efd01f60ba992926");
  std::array<int, 8> each{};
  for (int i = 0; i < 8000; ++i)
    ++each[static_cast<std::size_t>(shard_of(fmt::format("worker:do-tasks:read#{}:entry kill", i), 8) - 1)];
  for (int count : each)
    CHECK((count > 850 && count < 1150));
}

TEST_CASE("replays of shards are told apart by machine, kernel and distribution, where these differ", "[report]") {
  ShardHead a{.shard = {.index = 1, .count = 2, .by = ""},
              .verb = "run",
              .version = "",
              .plan = "",
              .replays = 1,
              .machine = "node1",
              .kernel = "",
              .distribution = "Debian"};
  auto b = a;
  b.shard.index = 2;
  b.machine = "node2";
  auto element = document_element(clean(), true) + document_element(clean(), false);
  auto read = from_document(document_head({.shard = {}, .merged = {a, b}}) + element + document_tail(false));
  REQUIRE(read.size() == 2);
  CHECK(read[1].machine == "node2");
  auto table = render_table(read, {});
  CHECK_THAT(table, ContainsSubstring("MACHINE"));
  CHECK_THAT(table, ContainsSubstring("node2"));
  CHECK_THAT(table, !ContainsSubstring("DISTRIBUTION"));
}

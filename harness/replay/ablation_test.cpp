#include "harness/replay/ablation.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak;
using namespace pidleak::replay;
using reports::Verdict;

namespace {

const Conditions chain{.death = Death::oom, .sigterm = Sigterm::handler, .queue = CallQueueState::full};
const auto links = links_of(chain);

/// Every combination of three links; what is said of each comes from `verdict`.
std::vector<Trial> trials(const std::function<Verdict(LinkSet)> &verdict) {
  std::vector<Trial> all;
  for (LinkSet on = 0; on < 8; ++on) {
    reports::Report report;
    report.verdict = verdict(on);
    all.push_back({.on = on, .replays = {report, report}});
  }
  return all;
}

} // namespace

TEST_CASE("the links of a scenario are the conditions that it sets", "[ablation]") {
  REQUIRE(links.size() == 3);
  CHECK(links[0].name == "death oom");
  CHECK(links[1].name == "sigterm handler");
  CHECK(links[2].name == "queue full");
  CHECK(with_links(chain, links, 0) == Conditions{});
  CHECK(with_links(chain, links, 7) == chain);
  CHECK(with_links(chain, links, 5).sigterm == Sigterm::default_);
  CHECK(links_of({}).empty());
}

TEST_CASE("a leak that takes all three links has one minimal set", "[ablation]") {
  auto all = trials([](LinkSet on) { return on == 7 ? Verdict::leaked : Verdict::clean; });
  CHECK(minimal_sets(all) == std::vector<LinkSet>{7});
  CHECK(links_that_do_not_matter(all, 3) == 0);
  CHECK(conclude(links, all).front() ==
        "leaked: needs death oom AND sigterm handler AND queue full; without any one of them it is clean");
}

TEST_CASE("a link whose switching changes nothing does not matter", "[ablation]") {
  auto all = trials([](LinkSet on) { return (on & 3) == 3 ? Verdict::hung : Verdict::clean; });
  CHECK(minimal_sets(all) == std::vector<LinkSet>{3});
  CHECK(links_that_do_not_matter(all, 3) == 4);
  CHECK(conclude(links, all)[1] == "queue full does not matter: switching it changed no verdict");
}

TEST_CASE("two ways to the same end are two minimal sets", "[ablation]") {
  auto all = trials([](LinkSet on) { return (on & 3) == 3 || (on & 4) ? Verdict::leaked : Verdict::clean; });
  CHECK(minimal_sets(all) == std::vector<LinkSet>{3, 4});
}

TEST_CASE("nothing is concluded from what was not seen", "[ablation]") {
  // Whether two links alone are enough is not known: then the conclusion must not say that it takes three.
  auto all = trials([](LinkSet on) { return on == 7 ? Verdict::leaked : on == 3 ? Verdict::invalid : Verdict::clean; });
  CHECK(minimal_sets(all).empty());
  CHECK(conclude(links, all).front().starts_with("1 of 8 combinations could not be judged"));

  auto skipped = trials([](LinkSet) { return Verdict::skipped; });
  CHECK(links_that_do_not_matter(skipped, 3) == 0);
  CHECK(minimal_sets(skipped).empty());
}

TEST_CASE("an outcome that changes from replay to replay is no cause", "[ablation]") {
  auto all = trials([](LinkSet on) { return on == 7 ? Verdict::leaked : Verdict::clean; });
  all[7].replays[1].verdict = Verdict::clean;
  CHECK(all[7].outcome() == Outcome::sometimes);
  CHECK(minimal_sets(all).empty());
  CHECK(conclude(links, all).back().find("a race decides") != std::string::npos);
}

TEST_CASE("a pool that is clean under everything has nothing to explain", "[ablation]") {
  auto all = trials([](LinkSet) { return Verdict::clean; });
  CHECK(conclude(links, all).front() == "clean with every link on: there is nothing to explain");
}

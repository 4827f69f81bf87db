// What accumulates and what does not, on made-up trees: every look is exact.
#include "harness/census/growth.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <random>

using namespace pidleak;
using census::History;
using census::Member;
using census::ProcessState;

namespace {

constexpr pid_t service = 100, outside = 1;

/// A tree that a test changes between two samples, a second apart.
class Tree {
public:
  Tree() { members_.push_back({.pid = service, .parent = outside, .start_ticks = 5, .comm = "gunicorn"}); }

  pid_t start(const std::string &comm, pid_t parent = service) {
    members_.push_back({.pid = ++last_pid_, .parent = parent, .start_ticks = ++ticks_, .comm = comm});
    return last_pid_;
  }
  Member &process(pid_t pid) {
    return *std::find_if(members_.begin(), members_.end(), [&](const auto &member) { return member.pid == pid; });
  }
  /// Its children go to the process that adopts orphans.
  void end(pid_t pid) {
    for (auto &member : members_)
      if (member.parent == pid)
        member.parent = outside;
    std::erase_if(members_, [&](const auto &member) { return member.pid == pid; });
  }
  void die_unreaped(pid_t pid) {
    process(pid).state = ProcessState::zombie;
    for (auto &member : members_)
      if (member.parent == pid)
        member.parent = outside;
  }
  void look(int times = 1) {
    for (; times > 0; --times)
      history_.add(1000.0 * looks_++, members_);
  }
  std::vector<census::GrowingGroup> growth() const { return history_.growth().groups; }
  const History &history() const { return history_; }

private:
  std::vector<Member> members_;
  pid_t last_pid_ = service;
  std::uint64_t ticks_ = 5;
  int looks_ = 0;
  History history_{service};
};

} // namespace

TEST_CASE("a worker that stays now and then accumulates, with its rate and its starter", "[census]") {
  Tree tree;
  for (int i = 0; i < 640; ++i) {
    if (i % 10 == 0)
      tree.start("python3");
    tree.look();
    if (i < 63)
      CHECK(tree.growth().empty());
  }
  REQUIRE(tree.growth().size() == 1);
  auto group = tree.growth().front();
  CHECK(group.starter == service);
  CHECK(group.starter_ticks == 5);
  CHECK(group.starter_comm == "gunicorn");
  CHECK(group.comm == "python3");
  CHECK(group.now == 64);
  CHECK(group.seen == 64);
  CHECK(group.ended == 0);
  CHECK(group.zombies == 0);
  CHECK(group.since_ms == 0);
  // The longest window has 512 looks, from the 128th, when there were 13.
  CHECK(group.from == 13);
  CHECK(group.over_ms == 511'000);
  CHECK(group.oldest.pid == service + 14);
  CHECK(std::abs(group.per_hour - 360) < 3); // one every ten seconds
  CHECK(tree.history().growth().looks == 640);
  CHECK(tree.history().growth().watched_ms == 639'000);
}

TEST_CASE("a leak is seen after 64 samples, and not after 63", "[census]") {
  Tree tree;
  for (int i = 0; i < 63; ++i) {
    tree.start("python3");
    tree.look();
  }
  CHECK(tree.growth().empty());
  tree.look();
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().from == 1);
}

TEST_CASE("a pool that is filled and stays so does not accumulate", "[census]") {
  for (int looks_between : {0, 1, 3}) {
    Tree tree;
    tree.look(10);
    for (int worker = 0; worker < 8; ++worker) {
      tree.start("python3");
      tree.look(looks_between);
    }
    for (int i = 0; i < 1000; ++i) {
      tree.look();
      CHECK(tree.growth().empty());
    }
  }
}

TEST_CASE("a pool that was filled slowly accumulates for a while, and then no more", "[census]") {
  Tree tree;
  for (int worker = 0; worker < 10; ++worker) {
    tree.start("python3");
    tree.look(10);
  }
  CHECK(tree.growth().size() == 1);
  tree.look(300);
  CHECK(tree.growth().empty());
}

TEST_CASE("a leak that pauses for less than it was watched still accumulates, and then no more", "[census]") {
  Tree tree;
  for (int i = 0; i < 128; ++i) {
    tree.start("python3");
    tree.look();
  }
  tree.look(127);
  CHECK(tree.growth().size() == 1);
  tree.look(64);
  CHECK(tree.growth().empty());
}

TEST_CASE("short-lived processes do not accumulate, however many there are at a time", "[census]") {
  std::minstd_rand random(7); // NOLINT(cert-msc51-cpp): the same every time
  Tree tree;
  std::deque<pid_t> living;
  for (int i = 0; i < 20'000; ++i) {
    for (auto more = random() % 4; more > 0; --more)
      living.push_back(tree.start("sh"));
    while (living.size() > 3 + random() % 10) {
      tree.end(living.front());
      living.pop_front();
    }
    tree.look();
    if (!tree.growth().empty())
      FAIL("at sample " << i);
  }
}

TEST_CASE("a pool that replaces its workers does not accumulate", "[census]") {
  Tree tree;
  std::deque<pid_t> workers;
  for (int i = 0; i < 5000; ++i) {
    if (i % 7 == 0)
      workers.push_back(tree.start("gunicorn"));
    if (workers.size() > 8) {
      tree.end(workers.front());
      workers.pop_front();
    }
    tree.look();
    if (i > 300)
      CHECK(tree.growth().empty());
  }
}

TEST_CASE("a leak among many that come and go is found", "[census]") {
  Tree tree;
  bool found = false;
  for (int i = 0; i < 3000 && !found; ++i) {
    auto passing = tree.start("sh");
    if (i % 50 == 0)
      tree.start("sh");
    tree.look();
    tree.end(passing);
    found = !tree.growth().empty();
  }
  REQUIRE(found);
  CHECK(tree.growth().front().ended > 100);
}

TEST_CASE("a leak that begins after a long time is found in a time as short as at the beginning", "[census]") {
  Tree tree;
  tree.look(100'000);
  int looks = 0;
  for (; tree.growth().empty() && looks < 200; ++looks) {
    if (looks % 5 == 0)
      tree.start("python3");
    tree.look();
  }
  CHECK(looks <= 64);
}

TEST_CASE("a slow leak is found once there was some of it in each quarter", "[census]") {
  Tree tree;
  int looks = 0;
  for (; tree.growth().empty() && looks < 100'000; ++looks) {
    if (looks % 3600 == 0)
      tree.start("python3");
    tree.look();
  }
  CHECK(looks < 8 * 3600);
  CHECK(tree.growth().front().now <= 8);
}

TEST_CASE("zombies accumulate as live processes do", "[census]") {
  Tree tree;
  for (int i = 0; i < 100; ++i) {
    tree.die_unreaped(tree.start("sh"));
    tree.look();
  }
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().now == 100);
  CHECK(tree.growth().front().zombies == 100);
  CHECK(tree.growth().front().oldest.kind == census::Kind::zombie);
}

TEST_CASE("what has accumulated and is gone accumulates no more", "[census]") {
  Tree tree;
  std::vector<pid_t> workers;
  for (int i = 0; i < 1000; ++i) {
    workers.push_back(tree.start("python3"));
    tree.look();
  }
  CHECK(tree.growth().size() == 1);
  for (pid_t worker : workers)
    tree.end(worker);
  tree.look();
  CHECK(tree.growth().empty());
}

TEST_CASE("daemons are their service's, whichever process was in between and has ended", "[census]") {
  Tree tree;
  for (int i = 0; i < 100; ++i) {
    auto shell = tree.start("sh"), middle = tree.start("sh", shell);
    tree.start("daemon", middle);
    tree.look();
    tree.end(shell); // both at once
    tree.end(middle);
    tree.look();
  }
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().starter == service);
  CHECK(tree.growth().front().comm == "daemon");
  CHECK(tree.growth().front().now == 100);
}

TEST_CASE("daemons whose starter was never seen are the service's", "[census]") {
  Tree tree;
  for (int i = 0; i < 100; ++i) {
    tree.start("daemon", outside);
    tree.look();
  }
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().starter == service);
}

TEST_CASE("the starter is named although it lost its child, and a living one between is the starter", "[census]") {
  Tree tree;
  auto pool = tree.start("pool");
  for (int i = 0; i < 100; ++i) {
    auto worker = tree.start("worker", pool);
    tree.look();
    tree.process(worker).parent = outside; // it has detached itself
  }
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().starter == pool);
  CHECK(tree.growth().front().starter_comm == "pool");
}

TEST_CASE("a pool whose owner dies again and again leaves workers that are the service's", "[census]") {
  Tree tree;
  for (int i = 0; i < 20; ++i) {
    auto pool = tree.start("pool");
    for (int worker = 0; worker < 4; ++worker)
      tree.start("worker", pool);
    tree.look(5);
    tree.end(pool);
  }
  tree.look();
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().starter == service);
  CHECK(tree.growth().front().now == 80);
}

TEST_CASE("names that differ in a number are one, others are not", "[census]") {
  Tree numbered, different;
  for (int i = 0; i < 100; ++i) {
    numbered.start("worker-" + std::to_string(i));
    numbered.look();
    different.start(std::string("worker-") + static_cast<char>('a' + i / 10) + static_cast<char>('a' + i % 10));
    different.look();
  }
  CHECK(numbered.growth().size() == 1);
  CHECK(different.growth().empty());
}

TEST_CASE("a process that executes another program counts under its new name", "[census]") {
  Tree tree;
  for (int i = 0; i < 100; ++i) {
    auto child = tree.start("gunicorn");
    tree.look();
    tree.process(child).comm = "convert";
  }
  tree.look();
  REQUIRE(tree.growth().size() == 1);
  CHECK(tree.growth().front().comm == "convert");
  CHECK(tree.growth().front().now == 100);
}

TEST_CASE("two that accumulate are two, and a number that is used again is another process", "[census]") {
  Tree tree;
  auto pool = tree.start("pool");
  for (int i = 0; i < 100; ++i) {
    tree.start("python3");
    tree.start("python3", pool);
    tree.process(tree.start("sh")).pid = 90;
    tree.look();
    tree.end(90);
  }
  CHECK(tree.growth().size() == 2);
}

TEST_CASE("a sample without the root says nothing", "[census]") {
  History history(service);
  history.add(0, {});
  history.add(1, {{.pid = 7, .parent = 1, .start_ticks = 1, .comm = "other"}});
  CHECK(history.growth().looks == 0);
  CHECK(history.growth().groups.empty());
}

TEST_CASE("floors are the least of each block, at every level", "[census]") {
  census::Floors floors;
  for (std::uint64_t i = 0; i < 256; ++i)
    floors.add(i, static_cast<double>(i));
  CHECK(floors.quarters(0) == std::array<double, 4>{192, 208, 224, 240});
  CHECK(floors.quarters(1) == std::array<double, 4>{128, 160, 192, 224});
  CHECK(floors.quarters(2) == std::array<double, 4>{0, 64, 128, 192});
  CHECK(floors.quarters(3) == std::array<double, 4>{0, 0, 0, 128}); // two blocks, from the beginning on
  CHECK(floors.first(2) == 0);
  census::Floors later;
  later.add(7, 3); // alone in blocks that began without it
  CHECK(later.quarters(0) == std::array<double, 4>{0, 0, 0, 0});
  CHECK(later.first(3) == 0);
}

// Does nothing happen any more but a loop that turns? The loop, and its twins in which something else happens.
#include "harness/census/spinning.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <ctime>

using namespace pidleak;
using testing::expect;

namespace {

void turn_for_ever() {
  for (;;)
    ::waitid(P_ALL, 0, nullptr, WEXITED | WNOHANG);
}

/// Whether the children are found to do nothing but turn, by looks that end once one has had a CPU for a half second.
bool spin(const std::function<void()> &between_looks) {
  auto half_a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)) / 2;
  census::Spinning spinning;
  for (;;) {
    auto members = census::walk_once({.root = ::getpid()});
    if (spinning.look(members))
      return true;
    auto looks = census::look_at(members);
    if (std::any_of(looks.begin(), looks.end(), [&](const auto &look) { return look.cpu_ticks >= half_a_second; }))
      return false;
    between_looks();
    os::wait_for_any_exit({}, std::chrono::milliseconds(2));
  }
}

} // namespace

TEST_CASE("a loop that turns while all others wait is known", "[census]") {
  testing::check_in_child([] {
    auto waits = testing::plant();
    testing::wait_until_in(waits, SYS_pause);
    auto loop = testing::start(turn_for_ever);
    expect(spin([] {}), "it turns, and nothing else happens");
  });
}

TEST_CASE("a loop is not known before it has had a CPU for a tenth of a second", "[census]") {
  testing::check_in_child([] {
    auto loop = testing::start(turn_for_ever);
    auto had = [&] { return os::read_stat(loop.pid()).value().cpu_ticks; };
    for (int tries = 0; tries < 20; ++tries) {
      census::Spinning spinning;
      auto before = had();
      auto members = census::walk_once({.root = ::getpid()});
      auto look = [&] {
        testing::wait_until([&] { return spinning.is_due(); }, "a look is due");
        return spinning.look(members);
      };
      bool is_known = look() || look();
      expect(!is_known || had() - before >= static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)) / 10,
             "it was met twice");
    }
  });
}

TEST_CASE("a loop beside which another process goes on is no rest", "[census]") {
  testing::check_in_child([] {
    auto pipe = os::open_pipe();
    auto reads = testing::start([&] {
      pipe.write_end.reset();
      for (char byte = 0; os::read_exactly(pipe.read_end.get(), &byte, 1);) {
      }
    });
    auto loop = testing::start(turn_for_ever);
    expect(!spin([&] { os::write_all(pipe.write_end.get(), "."); }), "the other has read in between");
  });
}

TEST_CASE("a loop beside which another process waits for a while is no rest", "[census]") {
  testing::check_in_child([] {
    auto sleeps = testing::start([] {
      const timespec long_enough{.tv_sec = 3600, .tv_nsec = 0};
      ::nanosleep(&long_enough, nullptr);
    });
    testing::wait_until_in(sleeps, SYS_clock_nanosleep);
    auto loop = testing::start(turn_for_ever);
    expect(!spin([] {}), "the other goes on by itself");
  });
}

TEST_CASE("a loop that waits in each turn is no rest", "[census]") {
  testing::check_in_child([] {
    auto loop = testing::start([] {
      const timespec a_moment{.tv_sec = 0, .tv_nsec = 1000};
      for (;;)
        ::nanosleep(&a_moment, nullptr);
    });
    expect(!spin([] {}), "it waits in between");
  });
}

// What outlives a guard that is killed: nothing in a PID namespace, and without one whatever there was.
#include "harness/census/walk.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <random>

using namespace pidleak;
using testing::expect;

namespace {

os::ProcessRef start_guard(const std::string &tier, const std::string &specimen) {
  return os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak",
                     .arguments = {"guard", "--tier", tier, "--", PIDLEAK_BINARY_DIR "/pidleak-specimen", specimen},
                     .standard_error = -1});
}

/// No process is left below the calling process, which adopts all that lose their parent.
void wait_until_all_have_gone() {
  testing::wait_until([] { return os::reap_exited_children(); }, "all processes below the guard have gone");
}

} // namespace

TEST_CASE("SIGKILL of a guard in a PID namespace leaves nothing, at whatever moment", "[guard]") {
  if (auto why = os::why_no_namespace(os::NamespaceKind::privileged); !why.empty())
    SKIP(why);
  testing::check_in_child([] {
    std::minstd_rand random(20); // NOLINT(cert-msc51-cpp): the same moments every time
    std::uniform_int_distribution<int> moment_us(0, 15000);
    for (int kill = 0; kill < 200; ++kill) {
      auto guard = start_guard("namespace", kill % 2 ? "has-closed-everything" : "forks-a-relay");
      os::wait_for_any_exit({guard.pidfd()}, std::chrono::microseconds(moment_us(random)));
      guard.send(SIGKILL);
      os::reap(guard);
      wait_until_all_have_gone();
    }
  });
}

TEST_CASE("SIGKILL of a guard in a PID namespace ends a command that would stay", "[guard]") {
  if (auto why = os::why_no_namespace(os::NamespaceKind::privileged); !why.empty())
    SKIP(why);
  testing::check_in_child([] {
    auto guard = start_guard("namespace", "owner-waits-for-a-worker-that-pauses");
    testing::wait_until(
        [&] {
          auto members = census::walk_once({.root = guard.pid()});
          return std::count_if(members.begin(), members.end(),
                               [](const auto &member) { return member.comm.starts_with("pidleak-specim"); }) == 2;
        },
        "owner and worker are there");
    guard.send(SIGKILL);
    os::reap(guard);
    wait_until_all_have_gone();
  });
}

TEST_CASE("SIGKILL of a guard without a namespace leaves what was there", "[guard]") {
  testing::check_in_child([] {
    auto guard = start_guard("subreaper", "owner-waits-for-a-worker-that-pauses");
    auto grandchildren = [&guard] {
      std::size_t count = 0;
      for (pid_t child : os::read_children(guard.pid()))
        count += os::read_children(child).size();
      return count;
    };
    testing::wait_until([&] { return grandchildren() == 1; }, "the worker is there");
    guard.send(SIGKILL);
    os::reap(guard);
    expect(!os::reap_exited_children(), "command and worker are still there");
  });
}

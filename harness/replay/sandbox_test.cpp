// Whatever becomes of the harness, nothing of a sandbox is left.
#include "harness/os/launch.hpp"
#include "harness/os/test_support.hpp"
#include "harness/replay/sandbox.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/syscall.h>

#include <filesystem>
#include <random>

using namespace pidleak;
using testing::expect;
using testing::expect_equal;

namespace {

namespace fs = std::filesystem;

/// A directory of the test's own; what is in it when the sandboxes have gone has leaked.
class TemporaryDirectory {
public:
  TemporaryDirectory() {
    if (!::mkdtemp(path_.data()))
      os::throw_errno("mkdtemp({})", path_);
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  const std::string &path() const { return path_; }
  std::size_t entries() const {
    fs::directory_iterator all(path_);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

private:
  std::string path_ = fs::temp_directory_path() / "pidleak-test-XXXXXX";
};

/// The cgroups that harnesses with these pids have made.
std::vector<std::string> cgroups_of(const std::vector<pid_t> &harnesses) {
  std::vector<std::string> found;
  for (const char *controller : {"pids", "memory"}) {
    auto place = os::find_cgroup_place(controller);
    if (place.parent.empty())
      continue;
    for (const auto &entry : fs::directory_iterator(place.parent))
      for (pid_t pid : harnesses) // pidleak-NAMESPACE-PID-START-NUMBER
        if (auto name = entry.path().filename().string();
            name.starts_with("pidleak-") && name.find(fmt::format("-{}-", pid)) != name.npos)
          found.push_back(entry.path());
  }
  return found;
}

enum class Killed { harness, warden };

/// Of a warden whose harness goes on; nothing: there is none at the moment.
std::optional<os::ProcessRef> warden_of(const os::ProcessRef &harness) {
  auto wardens = os::read_children(harness.pid());
  return wardens.empty() ? std::nullopt : os::ProcessRef::open(wardens.front());
}

/// Kills the harness or a warden at random moments of replays. The caller is the subreaper of everything.
void kill_at_random(const std::string &tier, int times, Killed who = Killed::harness) {
  TemporaryDirectory scratch;
  ::setenv("TMPDIR", scratch.path().c_str(), 1);
  auto mounts = os::read_file("/proc/self/mountinfo");
  std::mt19937 random(static_cast<unsigned>(times));
  std::uniform_int_distribution<int> moment(0, 60000);
  auto null = os::UniqueFd::adopt(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  std::vector<pid_t> harnesses;
  for (int i = 0; i < times; ++i) {
    auto harness = os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak",
                               .arguments = {"run", "incident", "--repeat", who == Killed::harness ? "1000" : "10",
                                             "--pool", who == Killed::harness ? "all" : "cpython37", "--jobs", "2",
                                             "--start-method", "all", "--oom", "real", "--tier", tier},
                               .standard_output = null.get(),
                               .standard_error = null.get()});
    os::wait_for_any_exit({harness.pidfd()}, std::chrono::microseconds(moment(random)));
    if (who == Killed::harness) {
      expect(harness.send(SIGKILL), "the harness was running");
    } else {
      std::optional<os::ProcessRef> warden;
      testing::wait_until([&] { return (warden = warden_of(harness)).has_value(); }, "there is a warden");
      warden->send(SIGKILL);
    }
    harnesses.push_back(harness.pid());
    testing::wait_until([] { return os::reap_exited_children(); }, "every process has gone by itself");
  }
  expect_equal(scratch.entries(), 0U, "entries in the temporary directory");
  expect_equal(os::read_file("/proc/self/mountinfo"), mounts, "the mounts");
  auto left = cgroups_of(harnesses);
  expect(left.empty(), left.empty() ? "" : "a cgroup is left: " + left.front());
}

/// Starts a sandbox with some processes in it, as strong as it can be here or weaker.
replay::Sandbox start_sandbox(reports::Tier tier, const std::function<std::string(const replay::Inside &)> &body) {
  replay::SandboxOptions options{.facilities = replay::find_facilities()};
  options.tier = std::min(tier, options.facilities.strongest);
  options.process_cap = 32;
  return replay::Sandbox::start(options, body);
}

std::string plant_some(const replay::Inside &) {
  testing::plant([] { os::ignore_sigterm(); });
  testing::plant([] {
    ::setsid();
    testing::plant();
  });
  return "planted";
}

} // namespace

TEST_CASE("SIGKILL of the harness at 50 random moments leaves no process, cgroup, mount or file", "[sandbox]") {
  CHECK(testing::run_in_child([] { kill_at_random("namespace-cgroup", 50); }, std::chrono::seconds(100)) == "");
}

TEST_CASE("SIGKILL of the harness at 50 random moments leaves nothing at the subreaper tier either", "[sandbox]") {
  CHECK(testing::run_in_child([] { kill_at_random("subreaper", 50); }, std::chrono::seconds(100)) == "");
}

TEST_CASE("SIGKILL of a warden at random moments leaves nothing, at every tier", "[sandbox]") {
  for (const char *tier : {"namespace-cgroup", "namespace", "subreaper"})
    CHECK(testing::run_in_child([&] { kill_at_random(tier, 8, Killed::warden); }, std::chrono::seconds(100)) == "");
}

TEST_CASE("what the body left behind is ended with its sandbox, at every tier", "[sandbox]") {
  for (auto tier : {reports::Tier::subreaper, reports::Tier::namespace_, reports::Tier::namespace_cgroup})
    testing::check_in_child([tier] {
      TemporaryDirectory scratch;
      ::setenv("TMPDIR", scratch.path().c_str(), 1);
      auto sandbox = start_sandbox(tier, plant_some);
      testing::wait_until([&] { return sandbox.collect(); }, "the sandbox ends");
      expect_equal(sandbox.failure(), "", "the failure");
      expect_equal(sandbox.result().value_or("none"), "planted", "the result");
      expect(os::reap_exited_children(), "nothing is left");
      expect_equal(scratch.entries(), 0U, "entries in the temporary directory");
      expect(cgroups_of({::getpid()}).empty(), "a cgroup is left");
    });
}

TEST_CASE("a body that crashes has no result, and says so", "[sandbox]") {
  for (auto tier : {reports::Tier::subreaper, reports::Tier::namespace_cgroup})
    testing::check_in_child([tier] {
      auto sandbox = start_sandbox(tier, [](const auto &inside) {
        plant_some(inside);
        ::raise(SIGKILL); // does nothing in a PID namespace's init
        ::_exit(9);
        return std::string();
      });
      testing::wait_until([&] { return sandbox.collect(); }, "the sandbox ends");
      expect(!sandbox.result(), "there is no result");
      expect(!sandbox.failure().empty(), "there is a reason");
      expect(os::reap_exited_children(), "nothing is left");
    });
}

TEST_CASE("a result that was cut off is none", "[sandbox]") {
  testing::check_in_child([] {
    ::close(2); // the warden's word about it
    ::open("/dev/null", O_WRONLY);
    replay::SandboxOptions options{.facilities = replay::find_facilities()};
    options.tier = options.facilities.strongest;
    options.bound = milliseconds(500);
    auto sandbox = replay::Sandbox::start(options, [](const auto &) { return std::string(1'000'000, '.'); });
    auto warden = os::ProcessRef::open(os::read_children(::getpid()).at(0)).value();
    testing::wait_until([&] { return warden.has_exited(); }, "it is ended, as its result is not taken");
    testing::wait_until([&] { return sandbox.collect(); }, "what there is of it is taken");
    expect(!sandbox.result(), "it has no end");
  });
}

TEST_CASE("SIGKILL of a harness with two sandboxes leaves neither", "[sandbox]") {
  testing::check_in_child([] {
    auto harness = testing::plant([] {
      auto pause = [](const auto &) -> std::string { testing::pause_for_ever(); };
      static auto one = start_sandbox(reports::Tier::namespace_, pause);
      static auto other = start_sandbox(reports::Tier::namespace_, pause);
    });
    harness.send(SIGKILL);
    testing::wait_until([] { return os::reap_exited_children(); }, "every process has gone by itself");
  });
}

TEST_CASE("SIGKILL of a warden ends its sandbox", "[sandbox]") {
  testing::check_in_child([] {
    auto sandbox =
        start_sandbox(reports::Tier::namespace_, [](const auto &) -> std::string { testing::pause_for_ever(); });
    auto warden = os::ProcessRef::open(os::read_children(::getpid()).at(0)).value();
    testing::wait_until([&] { return !os::read_children(warden.pid()).empty(); }, "its init is there");
    auto init = os::ProcessRef::open(os::read_children(warden.pid()).at(0)).value();
    testing::wait_until_in(init, SYS_pause);
    warden.send(SIGKILL);
    testing::wait_until([&] { return init.has_exited(); }, "the init has ended with its warden");
  });
}

TEST_CASE("a body that never ends is ended when its bound is over", "[sandbox]") {
  testing::check_in_child([] {
    ::close(2); // the warden's word about it
    ::open("/dev/null", O_WRONLY);
    replay::SandboxOptions options{.facilities = replay::find_facilities()};
    options.tier = options.facilities.strongest;
    options.bound = milliseconds(50);
    auto sandbox = replay::Sandbox::start(options, [](const auto &) -> std::string { testing::pause_for_ever(); });
    testing::wait_until([&] { return sandbox.collect(); }, "the sandbox ends");
    expect(!sandbox.result(), "there is no result");
    expect(os::reap_exited_children(), "nothing is left");
  });
}

TEST_CASE("forks are capped in a sandbox with a cgroup", "[sandbox]") {
  if (replay::find_facilities().strongest != reports::Tier::namespace_cgroup)
    SKIP("no cgroup with the pids controller");
  testing::check_in_child([] {
    auto sandbox = start_sandbox(reports::Tier::namespace_cgroup, [](const auto &inside) {
      int forks = inside.boundary.alarms ? 1 : 0; // the watch's thread counts as well
      for (; forks < 1000; ++forks) {
        pid_t pid = ::fork();
        if (pid == 0)
          testing::pause_for_ever();
        if (pid < 0)
          break;
      }
      return std::to_string(forks);
    });
    testing::wait_until([&] { return sandbox.collect(); }, "the sandbox ends");
    expect_equal(sandbox.result().value_or("none"), "31", "children of a sandbox for 32 processes");
  });
}

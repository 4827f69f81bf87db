// What is made ahead waits for its turn: nothing of it happens before, and the wait is no part of it.
#include "harness/os/test_support.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/run.hpp"
#include "harness/replay/turn.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

using namespace pidleak;
using testing::expect;
using testing::expect_equal;

namespace {

replay::SandboxOptions waits_for_turn() {
  replay::SandboxOptions options{.facilities = replay::find_facilities(), .waits_for_turn = true};
  options.tier = options.facilities.strongest;
  return options;
}

/// Waits for its turn, and tells how old it is then, in milliseconds, as its timeline has it.
std::string age_at_turn(const replay::Inside &inside) {
  replay::Timeline timeline(inside.since);
  timeline.leave_out(replay::wait_for_turn(inside));
  return fmt::format("{:.0f}", timeline.now_ms());
}

/// The init below the warden, in its wait.
bool is_waiting(pid_t harness) {
  for (pid_t warden : os::read_children(harness))
    for (pid_t init : os::read_children(warden))
      if (auto call = os::read_syscall(init, init); call && call->number == SYS_poll)
        return true;
  return false;
}

/// A subject that says hello, waits a while for another to come to `meeting`, and tells how many there are then.
replay::Plan lonely_plan(bool shares_nothing, const std::string &meeting) {
  auto script = fmt::format(R"(
    echo me >>{0}
    echo '{{"event":"hello","protocol":1,"pool":"p","version":"1","start_methods":["fork"]}}'
    read command
    for try in $(seq {1}); do [ $(wc -l <{0}) -ge 2 ] && break; sleep 0.01; done
    wc -l <{0} >&2)",
                            meeting, shares_nothing ? 1000 : 20);
  return {
      .scenario = {.name = "test", .summary = "", .conditions = {.workers = 1}, .steps = {Step::create_pool}},
      .pool = {.name = "lonely", .program = "/bin/sh", .arguments = {"-c", script}, .shares_nothing = shares_nothing},
      .step_bound = std::chrono::seconds(20)};
}

replay::RunOptions as_strong_as_can_be() {
  replay::RunOptions options{.facilities = replay::find_facilities()};
  options.tier = options.facilities.strongest;
  return options;
}

} // namespace

TEST_CASE("a sandbox waits for its turn: neither its timeline nor its bound has the wait", "[turn]") {
  testing::check_in_child([] {
    auto options = waits_for_turn();
    options.bound = milliseconds(1000);
    auto sandbox = replay::Sandbox::start(options, age_at_turn);
    testing::wait_until([] { return is_waiting(::getpid()); }, "it waits");
    testing::let_pass(milliseconds(1500));
    expect(!sandbox.collect() && !sandbox.result(), "it still waits");
    sandbox.let_go();
    testing::wait_until([&] { return sandbox.collect(); }, "it ends");
    expect_equal(sandbox.failure(), "", "the failure");
    auto told = sandbox.result().value_or("");
    int age = -1;
    std::from_chars(told.data(), told.data() + told.size(), age);
    expect(age >= 0 && age < 1500, "its age at its turn is not the wait: " + told);
  });
}

TEST_CASE("a sandbox whose turn never comes ends with its owner, and leaves nothing", "[turn]") {
  testing::check_in_child([] {
    {
      auto sandbox = replay::Sandbox::start(waits_for_turn(), age_at_turn);
      testing::wait_until([] { return is_waiting(::getpid()); }, "it waits");
    }
    expect(os::reap_exited_children(), "nothing is left");
  });
}

TEST_CASE("what was made ahead is not replayed once all is over", "[turn]") {
  auto options = as_strong_as_can_be();
  options.repeat = 5;
  std::size_t reports = 0;
  options.is_over = [&] { return reports == 2; };
  replay::Plan nothing{.pool = {.name = "none", .program = "/nonexistent/subject"}};
  auto ran = replay::run({nothing}, options, [&](std::size_t, const reports::Report &) { ++reports; });
  CHECK(ran.done == 2);
  CHECK(reports == 2);
}

TEST_CASE("two subjects are there at a time only where they share nothing", "[turn]") {
  for (bool shares_nothing : {true, false}) {
    auto meeting = fmt::format("/tmp/pidleak-turn-{}", ::getpid());
    auto options = as_strong_as_can_be();
    options.repeat = 2;
    std::vector<std::string> said;
    replay::run({lonely_plan(shares_nothing, meeting)}, options,
                [&](std::size_t, const reports::Report &report) { said.push_back(report.subject_stderr); });
    std::filesystem::remove(meeting);
    CHECK(said == std::vector<std::string>{shares_nothing ? "2\n" : "1\n", "2\n"});
  }
}

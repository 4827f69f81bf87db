#include "harness/os/test_support.hpp"
#include "harness/tracing/tracer.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fmt/ranges.h>
#include <sys/wait.h>

using namespace pidleak;
using namespace pidleak::tracing;
using testing::expect;
using testing::expect_equal;

namespace {

/// A process that waits for a byte, asks three times for its parent, writes how often, forks a child that asks once,
/// and waits for it.
struct Asking {
  os::Pipe command = os::open_pipe(), answers = os::open_pipe();
  os::ProcessRef process = testing::start([this] {
    answers.read_end.reset();
    char byte = 0;
    os::read_exactly(command.read_end.get(), &byte, 1);
    for (int i = 0; i < 3; ++i)
      os::write_all(answers.write_end.get(), ::syscall(SYS_getppid) < 0 ? "-" : "+");
    pid_t child = ::fork();
    if (child == 0)
      ::_exit(::syscall(SYS_getppid) < 0 ? 1 : 0);
    if (child < 0)
      os::write_all(answers.write_end.get(), "f");
    int status = 0;
    if (child > 0 && ::waitpid(child, &status, 0) == child)
      os::write_all(answers.write_end.get(), WIFSIGNALED(status) ? "k" : WEXITSTATUS(status) == 0 ? "0" : "1");
  });

  /// What it writes until it ends.
  std::string run() {
    answers.write_end.reset();
    os::write_all(command.write_end.get(), "!");
    std::string text;
    char byte = 0;
    while (os::read_exactly(answers.read_end.get(), &byte, 1))
      text += byte;
    return text;
  }
};

const std::vector<std::string> steps = {"first", "second"};

Place at(const std::string &name, int number, std::optional<When> when) {
  return {.thread = 1, .step = "second", .occurrence = {.name = name, .number = number, .when = when}};
}

/// What it writes, and what was done, with this fault.
std::pair<std::string, std::optional<Injected>> with_fault(const FaultAt &fault) {
  Asking asking;
  Tracer tracer(asking.process, {.steps = steps, .fault = fault});
  tracer.enter(1);
  auto said = asking.run();
  tracer.let_go();
  return {said, tracer.injected()};
}

std::vector<std::string> named(const TracedProcess &process, const std::string &call) {
  std::vector<std::string> all;
  for (const auto &stop : process.stops)
    if (stop.place.occurrence.name == call)
      all.push_back(to_text(Point{.actor = {.role = Role::owner}, .place = stop.place}));
  return all;
}

TEST_CASE("a point survives its text, and what is none is refused", "[tracing]") {
  for (const char *text : {"worker:shut-down:read#2:entry", "worker#3:do-tasks:write#1:exit",
                           "owner/2:create-pool:mmap#7:entry", "helper#2:settle:exec#1", "worker:create-pool:fork#1"}) {
    auto point = parse_point(text);
    REQUIRE(point);
    CHECK(to_text(*point) == text);
  }
  for (const char *text :
       {"", "worker", "worker:a", "nobody:a:read#1:entry", "worker:a:read#0:entry", "worker:a:read#x:entry",
        "worker:a:read#1:middle", "worker:a:read#1:entry:", "worker:A b:read#1:entry", "worker#-1:a:read#1",
        "worker/0:a:read#1:entry", "worker::read#1:entry", "worker:a:#1:entry"}) {
    INFO(text);
    CHECK_FALSE(parse_point(text));
  }
  for (const char *text : {"kill", "term", "oom", "errno:EAGAIN", "errno:ENOSPC"})
    CHECK(to_text(parse_fault(text).value()) == text);
  for (const char *text : {"", "errno", "errno:", "errno:EWHAT", "KILL"})
    CHECK_FALSE(parse_fault(text));
}

TEST_CASE("an error suits a call as its manual page has it", "[tracing]") {
  CHECK(errors_of("clone", "") == std::vector{EAGAIN, ENOMEM});
  CHECK(errors_of("getpid", "").empty());
  CHECK(errors_of("write", "/memfd:pool-locks (deleted)") == std::vector{ENOSPC});
  CHECK(errors_of("write", "pipe:[1]").empty());
}

TEST_CASE("what a process and its child do is recorded, each call by its number", "[tracing]") {
  CHECK(testing::run_in_child([] {
          Asking asking;
          Tracer tracer(asking.process, {.steps = steps});
          tracer.enter(1);
          expect_equal(asking.run(), "+++0", "what it says");
          tracer.let_go();
          const auto &recorded = tracer.recorded();
          expect_equal(recorded.size(), 2U, "the processes");
          expect(recorded[0].birth.empty() && recorded[1].birth == Birth{1}, "the births");
          expect_equal(fmt::format("{}", fmt::join(named(recorded[0], "getppid"), " ")),
                       "owner:second:getppid#1:entry owner:second:getppid#1:exit owner:second:getppid#2:entry "
                       "owner:second:getppid#2:exit owner:second:getppid#3:entry owner:second:getppid#3:exit",
                       "the parent's calls");
          expect_equal(named(recorded[1], "getppid").size(), 2U, "the child's calls");
          expect_equal(named(recorded[1], "fork").size(), 1U, "the child's birth");
          expect_equal(named(recorded[1], "exit").size(), 1U, "the child's exit");
          expect(named(recorded[0], "write")[0].ends_with("write#1:entry"), "another count for another call");
        }) == "");
}

TEST_CASE("a fault comes at its point and at no other", "[tracing]") {
  CHECK(testing::run_in_child([] {
          auto [before, killed] = with_fault({.birth = {}, .place = at("getppid", 3, When::entry), .fault = {}});
          expect_equal(before, "++", "killed before the third call");
          expect(killed && killed->done && killed->status && killed->status->value == SIGKILL, "the kill is shown");
          auto [after, late] = with_fault({.birth = {}, .place = at("write", 3, When::exit), .fault = {}});
          expect_equal(after, "+++", "killed after the third write");
          auto [failed, error] = with_fault({.birth = {},
                                             .place = at("getppid", 2, When::entry),
                                             .fault = {.kind = FaultKind::errno_, .error = EAGAIN}});
          expect_equal(failed, "+-+0", "one call fails");
          expect(error && error->done, "the error is shown");
          auto [terminated, term] =
              with_fault({.birth = {}, .place = at("getppid", 2, When::exit), .fault = {.kind = FaultKind::term}});
          expect_equal(terminated, "+", "SIGTERM at its default, before the second is told");
        }) == "");
}

TEST_CASE("a child is found by its birth, and its parent sees its end", "[tracing]") {
  CHECK(testing::run_in_child([] {
          for (auto place : {at("fork", 1, {}), at("getppid", 1, When::entry), at("exit", 1, {})}) {
            auto [said, injected] = with_fault({.birth = {1}, .place = place, .fault = {}});
            expect(injected.has_value() && injected->done, "it is reached");
            if (place.occurrence.name != "exit") // its status is settled there
              expect_equal(said, "+++k", "the parent waits for a child that was killed");
          }
          auto [said, injected] = with_fault({.birth = {},
                                              .place = at("clone", 1, When::entry),
                                              .fault = {.kind = FaultKind::errno_, .error = EAGAIN}});
          expect_equal(said, "+++f", "fork fails");
        }) == "");
}

TEST_CASE("what is never reached is not done, and disturbs nothing", "[tracing]") {
  CHECK(testing::run_in_child([] {
          for (auto place : {at("getppid", 4, When::entry), at("no_such_call", 1, When::entry)})
            for (const Birth &birth : {Birth{}, Birth{1}, Birth{7, 1}}) {
              auto [said, injected] = with_fault({.birth = birth, .place = place, .fault = {}});
              expect_equal(said, "+++0", "it runs to its end");
              expect(!injected, "and nothing is told to have been done");
            }
        }) == "");
}

TEST_CASE("a process that is traced already is refused", "[tracing]") {
  CHECK(testing::run_in_child([] {
          Asking asking;
          Tracer first(asking.process, {.steps = steps});
          try {
            Tracer second(asking.process, {.steps = steps});
            expect(false, "it is refused");
          } catch (const std::runtime_error &e) {
            expect(std::string(e.what()).find("traced already") != std::string::npos, e.what());
          }
          first.let_go();
          expect_equal(asking.run(), "+++0", "it goes on untouched");
        }) == "");
}

TEST_CASE("a stopped process stays stopped when it is let go, and a signal arrives", "[tracing]") {
  CHECK(testing::run_in_child([] {
          Asking asking;
          {
            Tracer tracer(asking.process, {.steps = steps});
            tracer.enter(0);
            asking.process.send(SIGSTOP);
            auto is_pending = [&] {
              auto status = os::read_status(asking.process.pid()).value();
              return status.thread_pending.contains(SIGSTOP) || status.shared_pending.contains(SIGSTOP);
            };
            testing::wait_until([&] { return !is_pending(); }, "it has come");
            testing::wait_until([&] { return os::read_stat(asking.process.pid())->state == 't'; }, "held");
          }
          testing::wait_until([&] { return os::read_stat(asking.process.pid())->state == 'T'; }, "stopped");
          asking.process.send(SIGCONT);
          expect_equal(asking.run(), "+++0", "it goes on");
        }) == "");
}

} // namespace

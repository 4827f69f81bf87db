// What listeners_test.cpp runs: a program with the listener for Catch2.
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <pidleak/catch2.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace {

struct Listener : pidleak::Catch2Listener {
  using Catch2Listener::Catch2Listener;
  pidleak::GuardOptions options() const override { return {.name = {}, .grace = std::chrono::milliseconds(0)}; }
};
CATCH_REGISTER_LISTENER(Listener)

void leave_a_process() {
  if (fork() == 0)
    for (;;)
      pause();
}

int most_opened = -1;

} // namespace

TEST_CASE("clean") {
  pid_t child = fork();
  if (child == 0)
    _exit(0);
  CHECK(waitpid(child, nullptr, 0) == child);
}

TEST_CASE("leaking") {
  leave_a_process();
  CHECK(true);
}

TEST_CASE("leaking without an assertion of its own") { leave_a_process(); }

TEST_CASE("leaking in one of three sections") {
  CHECK(true);
  SECTION("first") { CHECK(true); }
  SECTION("second") {
    SECTION("inner") { leave_a_process(); }
  }
  SECTION("third") { CHECK(true); }
}

TEST_CASE("leaking and throwing") {
  SECTION("within") {
    leave_a_process();
    throw std::runtime_error("thrown");
  }
}

TEST_CASE("leaking, as expected", "[!shouldfail]") { leave_a_process(); }

TEST_CASE("a forked child that returns from its test case", "[.]") {
  pid_t child = fork();
  if (child != 0)
    CHECK(waitpid(child, nullptr, 0) == child);
}

TEST_CASE("a forgotten child that may be an orphan", "[.]") {
  std::string program = "true";
  char *arguments[] = {program.data(), nullptr};
  pid_t pid = 0;
  REQUIRE(posix_spawnp(&pid, "true", nullptr, nullptr, arguments, environ) == 0);
  siginfo_t ended{};
  CHECK(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) == 0);
}

TEST_CASE("matcher") {
  pidleak::Guard guard({.name = "matched", .grace = std::chrono::milliseconds(0)});
  CHECK_THAT(guard.check(), pidleak::NothingRemains());
  leave_a_process();
  CHECK_THAT(guard.check(), !pidleak::NothingRemains());
  CHECK_THAT(guard.check(), pidleak::NothingRemains());
  CHECK(guard.end_remaining());
}

TEST_CASE("using up all descriptors", "[.]") {
  for (int fd = 0; fd >= 0; fd = open("/dev/null", O_RDONLY))
    most_opened = fd;
}

TEST_CASE("closing them, too late for its own guard", "[.]") {
  for (int fd = most_opened; fd > 2; --fd)
    close(fd);
}

TEST_CASE("crashing", "[.]") {
  leave_a_process();
  *static_cast<volatile int *>(nullptr) = 0;
}

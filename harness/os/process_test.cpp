// Holding, reaping, starting and ending processes.
#include "harness/os/ending.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

namespace {

using namespace pidleak;
using testing::expect;
using testing::expect_equal;

const os::WaitStatus killed{.signaled = true, .value = SIGKILL};

} // namespace

TEST_CASE("a process can be held from its start until it has been reaped", "[process]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    expect(os::ProcessRef::open(child.pid()).has_value(), "a live child is held");
    expect(!child.has_exited(), "it runs");
    expect(!os::try_reap(child), "there is nothing to reap yet");
    expect(child.send(SIGKILL), "it is signalled");
    os::wait_for_any_exit({child.pidfd()}, std::chrono::seconds(10));
    expect(child.has_exited(), "it has exited");
    expect(os::ProcessRef::open(child.pid()).has_value(), "a zombie is held");
    expect(child.exit_status() == killed, "a zombie's status is known");
    expect(os::reap(child) == killed, "and reaped");
    expect(!os::ProcessRef::open(child.pid()), "a reaped pid is no process");
    expect(!child.send(SIGKILL), "and can't be signalled");
  });
}

TEST_CASE("a clone without an exit signal is reaped as any other child", "[process]") {
  testing::check_in_child([] {
    auto pid = static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
    if (pid == 0)
      ::_exit(0);
    auto clone = os::ProcessRef::open(pid).value();
    testing::wait_until([&] { return clone.has_exited(); }, "it has exited");
    expect(os::reap_exited_children(), "nothing is left");
    expect(!clone.send(0), "nor its zombie");
  });
}

TEST_CASE("both ends of a pipe are closed by exec", "[process]") {
  auto pipe = os::open_pipe(), nonblocking = os::open_pipe(O_NONBLOCK);
  for (const auto *end : {&pipe.read_end, &pipe.write_end, &nonblocking.read_end, &nonblocking.write_end})
    CHECK((::fcntl(end->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("the status of a process that another process reaped is right or unknown", "[process]") {
  testing::check_in_child([] {
    auto child = testing::start([] { ::_exit(3); });
    auto other = std::move(os::ProcessRef::open(child.pid()).value());
    expect_equal(os::reap(child).text(), "exited with 3", "the reaper's status");
    auto status = other.exit_status(); // known since Linux 6.15
    expect(!status || status->text() == "exited with 3", "the other's status");
  });
}

TEST_CASE("reaping with a deadline gives up on a process that lives", "[process]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    expect(!os::reap(child, Deadline::after(milliseconds(1))), "nothing yet");
    child.send(SIGKILL);
    expect(os::reap(child, Deadline::after(std::chrono::seconds(10))) == killed, "then the status");
  });
}

TEST_CASE("a program that can't be executed is named, and nothing is left of the attempt", "[process]") {
  testing::check_in_child([] {
    auto fds = testing::count_open_fds();
    try {
      os::launch({.program = "/nonexistent/program"});
      expect(false, "launch throws");
    } catch (const std::system_error &e) {
      expect_equal(e.code().value(), ENOENT, "errno");
      expect(std::string(e.what()).find("/nonexistent/program") != std::string::npos, e.what());
    }
    os::reap_exited_children();
    expect_equal(testing::count_open_fds(), fds, "open descriptors");
  });
}

TEST_CASE("a program that can't be executed does not run what this process has registered for its exit", "[process]") {
  testing::check_in_child([] {
    static int end = -1; // in the child as well, which closes it only by exec
    auto pipe = os::open_pipe();
    end = pipe.write_end.get();
    std::atexit([] { os::write_all(end, "exit"); });
    try {
      os::launch({.program = "/nonexistent/program"});
    } catch (const std::system_error &) {
    }
    pipe.write_end.reset();
    char byte = 0;
    expect(!os::read_exactly(pipe.read_end.get(), &byte, 1), "nothing is written");
  });
}

TEST_CASE("errors and signals have the names that libc has for them", "[process]") {
#ifdef __GLIBC__
  for (int error = 1; error < 200; ++error)
    if (const char *name = strerrorname_np(error))
      CHECK(os::describe_errno(error) == fmt::format("{} ({})", name, strerrordesc_np(error)));
  for (int signal = 1; signal < 40; ++signal)
    if (const char *name = sigabbrev_np(signal))
      CHECK(os::signal_name(signal) == fmt::format("SIG{}", name));
#endif
  CHECK(os::describe_errno(ENOENT) == "ENOENT (No such file or directory)");
  CHECK(os::describe_errno(4000) == "4000 (unknown)");
  CHECK(os::signal_name(SIGTERM) == "SIGTERM");
  CHECK(os::signal_name(40) == "signal 40");
}

TEST_CASE("a launched program inherits the descriptors that were named, and default signals if asked", "[process]") {
  testing::check_in_child([] {
    os::ignore_sigterm();
    auto pipe = os::open_pipe();
    auto hidden = os::open_pipe();
    auto open_by_others = os::UniqueFd::adopt(::dup(hidden.read_end.get())); // as what this process was started with
    auto script = fmt::format("grep SigIgn /proc/self/status >&{0}; for fd in {1} {2}; do "
                              "[ -e /proc/self/fd/$fd ] && echo leaked >&{0}; done",
                              pipe.write_end.get(), hidden.read_end.get(), open_by_others.get());
    auto child = os::launch({.program = "/bin/sh",
                             .arguments = {"-c", script},
                             .inherited = {pipe.write_end.get()},
                             .default_signals = true});
    pipe.write_end.reset();
    std::string said;
    for (char byte = 0; os::read_exactly(pipe.read_end.get(), &byte, 1);)
      said += byte;
    os::reap(child);
    expect_equal(said, "SigIgn:\t0000000000000000\n", "what the child saw");
  });
}

TEST_CASE("every descendant is ended, however it hides", "[process]") {
  testing::check_in_child([] {
    auto ready = os::open_pipe();
    testing::start([&] {
      auto stay = [&] {
        os::write_all(ready.write_end.get(), ".");
        testing::pause_for_ever();
      };
      testing::start([&] {
        os::ignore_sigterm();
        stay();
      });
      testing::start([&] {
        ::setsid();
        testing::start(stay);
      }); // a daemon
      auto stopped = testing::start(stay);
      stopped.send(SIGSTOP);
    });
    char byte = 0;
    for (int i = 0; i < 2; ++i) // the third may have been stopped before it could say so
      os::read_exactly(ready.read_end.get(), &byte, 1);
    expect(os::end_all_children(Deadline::after(std::chrono::seconds(10))).all_ended, "all ended");
    expect(::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD, "no child is left");
  });
}

// For tests that plant processes: runs a test's body where nothing that it plants can get away.
//
//   test process ──fork──▶ guard (subreaper) ──fork──▶ body (subreaper) ──▶ whatever the body plants
//
// The guard waits for the body until a deadline, ends everything below itself, and leaves last. So
// neither a body that hangs or crashes, nor the death of the test process, leaves a process behind; and
// the test process itself keeps its signals, its children and its attributes. Catch2's assertions work
// in the test process alone: the body uses expect(), and what failed there becomes the text of one
// assertion here.
#pragma once

#include "harness/os/ending.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <boost/assert/source_location.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

namespace pidleak::testing {

using Where = boost::source_location; // clang 14 can't do std's

/// An assertion for the body. Throws what run_in_child() will return.
inline void expect(bool holds, std::string_view what, Where where = BOOST_CURRENT_LOCATION) {
  if (!holds)
    throw std::runtime_error(fmt::format("{}:{}: not so: {}", where.file_name(), where.line(), what));
}

inline void expect_part(std::string_view text, std::string_view part, Where where = BOOST_CURRENT_LOCATION) {
  expect(text.find(part) != text.npos, fmt::format("`{}` is in `{}`", part, text), where);
}

/// The same for a text that is the reason; for anything that fmt can print.
template <class Actual, class Wanted>
void expect_equal(const Actual &actual, const Wanted &wanted, std::string_view what,
                  Where where = BOOST_CURRENT_LOCATION) {
  if (!(actual == wanted))
    throw std::runtime_error(
        fmt::format("{}:{}: {} is `{}`, not `{}`", where.file_name(), where.line(), what, actual, wanted));
}

/// What a test has not come to by then, it will never: it bounds a hang, and is no property of what is tested. Under
/// the sanitizers, four at a time on two cores, some bodies take 15 seconds.
constexpr std::chrono::seconds hang_bound{60};

/// How often `part` stands in `text`.
inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

/// Polls for what no event announces (a state in /proc), with doubling backoff and a deadline.
inline void wait_until(const std::function<bool()> &holds, std::string_view what,
                       Where where = BOOST_CURRENT_LOCATION) {
  auto deadline = Deadline::after(hang_bound / 2);
  Backoff backoff;
  while (!holds()) {
    expect(!deadline.passed(), what, where);
    os::wait_for_any_exit({}, backoff.next());
  }
}

[[noreturn]] inline void pause_for_ever() {
  for (;;)
    ::pause();
}

/// Forks a child that runs `body` and exits with 0, or with 1 if it throws. Returns at once.
inline os::ProcessRef start(const std::function<void()> &body) {
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork()");
  if (pid == 0) {
    int status = 1;
    try {
      body();
      status = 0;
    } catch (const std::exception &e) {
      std::fprintf(stderr, "planted process %d: %s\n", ::getpid(), e.what());
    }
    ::_exit(status); // the copied parent's destructors and Catch2's reporters must not run here
  }
  return std::move(os::ProcessRef::open(pid).value()); // own and unreaped: it is there
}

/// Forks a child that runs `set_up` and then pauses until it is ended. Returns when it has been set up.
inline os::ProcessRef plant(
    const std::function<void()> &set_up = [] {}, Where where = BOOST_CURRENT_LOCATION) {
  auto ready = os::open_pipe();
  auto child = start([&] {
    set_up();
    os::write_all(ready.write_end.get(), ".");
    ready.write_end.reset();
    ready.read_end.reset();
    pause_for_ever();
  });
  ready.write_end.reset();
  char byte = 0;
  expect(os::read_exactly(ready.read_end.get(), &byte, 1), "the planted process came up", where);
  return child;
}

/// For tests of what takes time: nothing is waited for.
inline void let_pass(milliseconds time) {
  for (auto over = Deadline::after(time); !over.passed();)
    os::wait_for_any_exit({}, milliseconds(over.left_ms()));
}

/// Waits until the main thread of `process` sleeps in the system call `number`.
inline void wait_until_in(const os::ProcessRef &process, long number, Where where = BOOST_CURRENT_LOCATION) {
  wait_until(
      [&] {
        auto call = os::read_syscall(process.pid(), process.pid());
        auto stat = os::read_stat(process.pid());
        return call && !call->running && call->number == number && stat && stat->state == 'S';
      },
      "it sleeps in " + os::syscall_name(number), where);
}

inline void wait_until_state(const os::ProcessRef &process, char state, Where where = BOOST_CURRENT_LOCATION) {
  wait_until(
      [&] {
        auto stat = os::read_stat(process.pid());
        return stat && stat->state == state;
      },
      std::string("its state becomes ") + state, where);
}

inline std::size_t count_open_fds() {
  std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

namespace detail {

[[noreturn]] inline void run_body(int report, const std::function<void()> &body) {
  try {
    os::become_subreaper();
    body();
  } catch (const std::exception &e) {
    os::write_all(report, e.what());
  }
  ::_exit(0);
}

[[noreturn]] inline void guard(int report, const std::function<void()> &body, std::chrono::seconds bound) {
  std::string failure;
  try {
    os::reset_all_signals(); // Catch2 catches SIGTERM and others in the process that this is a copy of
    os::become_subreaper();
    pid_t pid = ::fork();
    if (pid < 0)
      os::throw_errno("fork() of the body");
    if (pid == 0)
      run_body(report, body);
    auto held = os::ProcessRef::open(pid).value();
    auto status = os::reap(held, Deadline::after(bound));
    if (!status)
      failure = fmt::format("the body still runs after {} s", bound.count());
    else if (*status != os::WaitStatus{})
      failure = "the body was " + status->text();
    if (!os::end_all_children(Deadline::after(std::chrono::seconds(5))).all_ended)
      failure += " (processes are left)";
  } catch (const std::exception &e) {
    failure = e.what();
  }
  os::write_all(report, failure);
  ::_exit(0);
}

} // namespace detail

/// Runs `body` as described above. Empty if it came through, else what failed.
inline std::string run_in_child(const std::function<void()> &body, std::chrono::seconds bound = hang_bound) {
  auto report = os::open_pipe();
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of the guard");
  if (pid == 0)
    detail::guard(report.write_end.get(), body, bound);
  report.write_end.reset();
  auto held = os::ProcessRef::open(pid).value();
  auto status = os::reap(held, Deadline::after(bound + std::chrono::seconds(10)));
  if (!status) {
    held.send(SIGKILL);
    os::reap(held);
    return "the guard hung";
  }
  os::set_nonblocking(report.read_end.get()); // a process that outlived even the guard may hold the other end
  std::string text(4096, '\0');
  ssize_t got = ::read(report.read_end.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return *status == os::WaitStatus{} ? text : text + " (the guard was " + status->text() + ")";
}

/// The test case fails where the body does. (Not a macro: the body's lines keep their numbers.)
inline void check_in_child(const std::function<void()> &body) { CHECK(run_in_child(body) == ""); }

} // namespace pidleak::testing

// For tests of the library: what tests of others do with processes.
#pragma once

#include "harness/os/test_support.hpp"
#include "pidleak/guard.hpp"

#include <unistd.h>

namespace pidleak::testing {

using namespace std::chrono_literals;

constexpr auto never = 0ms; // a grace for what is sure to remain
constexpr auto ample = 30s; // and for what is sure to leave

/// As check_in_child(), in a process that is no subreaper: as most tests of others are run.
inline void check_in_plain_child(const std::function<void()> &body) {
  check_in_child([&] {
    os::cease_to_be_subreaper();
    body();
  });
}

/// Starts `daemon` below a child that ends at once and is waited for. In a session of its own, or in this process's.
inline void start_daemon(bool in_own_session, const std::function<void()> &daemon = pause_for_ever) {
  auto up = os::open_pipe();
  auto between = start([&] {
    if (in_own_session)
      ::setsid();
    start([&] {
      up.read_end.reset();
      up.write_end.reset();
      daemon();
    });
  });
  os::reap(between);
  up.write_end.reset();
  char byte = 0;
  os::read_exactly(up.read_end.get(), &byte, 1); // end of file: it has closed it
}

/// The one process that is to remain.
inline const Remaining &only(const Findings &findings, Where where = BOOST_CURRENT_LOCATION) {
  expect_equal(findings.remaining.size(), 1U, "number of what remains; " + findings.text, where);
  return findings.remaining.front();
}

inline void expect_clean(const Findings &findings, Where where = BOOST_CURRENT_LOCATION) {
  expect(findings.clean(), "clean; " + findings.text, where);
}

/// No child is left, not even a zombie.
inline void expect_no_child(Where where = BOOST_CURRENT_LOCATION) {
  expect(os::read_children(::getpid()).empty(), "no child", where);
}

} // namespace pidleak::testing

// For tests of the command line: runs the program as a user does.
#pragma once

#include "harness/os/launch.hpp"
#include "harness/os/task_events.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <poll.h>

#include <string>
#include <vector>

namespace pidleak::testing {

inline bool is_told_of_tasks() { return os::TaskEvents().why_none().empty(); }

struct Ran {
  int status = -1;
  std::string out, err;
};

/// Runs a program of this project to its end, or to the bound's.
inline Ran run(const std::vector<std::string> &arguments, const std::string &program = PIDLEAK_BINARY_DIR "/pidleak") {
  auto out = os::open_pipe(), err = os::open_pipe();
  auto child = os::launch({.program = program,
                           .arguments = arguments,
                           .standard_output = out.write_end.get(),
                           .standard_error = err.write_end.get()});
  out.write_end.reset();
  err.write_end.reset();
  Ran ran;
  auto deadline = Deadline::after(3 * hang_bound);
  pollfd ends[] = {{.fd = out.read_end.get(), .events = POLLIN, .revents = 0},
                   {.fd = err.read_end.get(), .events = POLLIN, .revents = 0}};
  std::string *texts[] = {&ran.out, &ran.err};
  while ((ends[0].fd >= 0 || ends[1].fd >= 0) && ::poll(ends, 2, deadline.left_ms()) > 0)
    for (int i = 0; i < 2; ++i) {
      char buffer[4096];
      ssize_t got = ends[i].revents ? ::read(ends[i].fd, buffer, sizeof buffer) : -1;
      if (got > 0)
        texts[i]->append(buffer, static_cast<std::size_t>(got));
      else if (got == 0)
        ends[i].fd = -1;
    }
  auto status = os::reap(child, deadline);
  if (!status) {
    child.send(SIGKILL);
    status = os::reap(child);
  }
  ran.status = status->signaled ? 128 + status->value : status->value;
  return ran;
}

inline void check_usage(const std::vector<std::string> &arguments, const std::string &says) {
  auto ran = run(arguments);
  CHECK(ran.status == 2);
  CHECK(ran.out == "");
  CHECK_THAT(ran.err, Catch::Matchers::ContainsSubstring(says));
}

} // namespace pidleak::testing

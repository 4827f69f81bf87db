#include "harness/pool/tracker.hpp"

#include "harness/os/launch.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>

#include <csignal>

namespace pidleak::pool {
namespace {

os::ProcessRef start(TrackerPolicy policy, const Program &program, os::Pipe &pipe) {
  os::Launch what{
      .program = program.path, .arguments = {fmt::to_string(pipe.read_end.get())}, .inherited = {pipe.read_end.get()}};
  if (policy == TrackerPolicy::unblocks_sigterm)
    os::block_sigterm();
  auto process = os::launch(what);
  if (policy == TrackerPolicy::unblocks_sigterm)
    os::unblock_sigterm();
  pipe.read_end.reset();
  return process;
}

} // namespace

Tracker::Tracker(TrackerPolicy policy, const Program &program)
    : pipe_(os::open_pipe()), process_(start(policy, program, pipe_)) {}

void run_tracker(int read_fd) {
  // "Protect the process from ^C and killall": CPython's words for why its tracker does the same.
  ::signal(SIGINT, SIG_IGN);
  os::ignore_sigterm();
  char byte = 0;
  while (os::read_exactly(read_fd, &byte, 1)) {
  }
}

} // namespace pidleak::pool

#include "harness/guard/stand_in.hpp"

#include "harness/guard/command.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>

namespace pidleak::guard {

bool needs_stand_in() { return ::getpid() == 1 || os::has_children(); }

void end_with_parent(pid_t parent) {
  os::die_with_parent();
  if (::getppid() != parent) // it ended before that took effect
    ::_exit(128 + SIGKILL);
}

void stand_in(const std::function<int(const Original &)> &body) {
  Command guard;
  pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of a guard");
  if (pid == 0) {
    int status = 5; // the harness broke
    try {
      end_with_parent(parent);
      status = body(guard.relay().original());
    } catch (const std::exception &e) {
      std::fprintf(stderr, "pidleak: %s\n", e.what());
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  guard.adopt(os::ProcessRef::of_child(pid));
  auto end = guard.wait();
  if (end.signal != 0)
    die_of(end.signal);
  std::fflush(nullptr);
  ::_exit(end.status);
}

} // namespace pidleak::guard

#include "harness/guard/isolation.hpp"

#include "harness/guard/command.hpp"
#include "harness/guard/job_control.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace pidleak::guard {
namespace {

/// True if the other end of the pipe is closed: the caller is gone, which getppid(2) can't tell across namespaces.
bool is_cut(const os::UniqueFd &lifeline) {
  pollfd end{.fd = lifeline.get(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, 0) == 1;
}

[[noreturn]] void be_init(Options &options, const Original &original, os::Pipe lifeline,
                          const std::function<int()> &body) {
  int status = 5; // the harness broke
  try {
    lifeline.write_end.reset();
    os::die_with_parent();
    if (is_cut(lifeline.read_end)) // it died before that took effect
      ::_exit(status);
    auto outer_proc = os::UniqueFd::adopt(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    os::mount_private_proc();
    // Every signal stays blocked until the guard reads them: an init discards what has its default.
    options.original = original;
    options.tier = reports::Tier::namespace_;
    options.outer_proc = outer_proc.get();
    status = body();
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak guard: %s\n", e.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

} // namespace

void in_pid_namespace(Options &options, const std::function<int()> &body) {
  auto kind = os::namespace_kind_of_user();
  try {
    os::unshare_for_init(kind);
  } catch (const os::SyscallError &e) {
    auto why = os::why_no_namespace(kind);
    throw std::runtime_error(
        fmt::format("tier namespace can't be had here, and nothing was run: {}", why.empty() ? e.what() : why));
  }
  Command init;
  auto lifeline = os::open_pipe();
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of the namespace's init");
  if (pid == 0)
    be_init(options, init.relay().original(), std::move(lifeline), body);
  init.adopt(os::ProcessRef::of_child(pid));
  // The init can't stop, so that the parent of this process would not see the job stop. What is stopped does not see
  // that the init has ended; a watcher does, so that time limits hold.
  auto end = init.wait({}, {.stop = [&] { stop_until(init.process(), [] { return false; }, {}); }});
  std::fflush(nullptr);
  ::_exit(end.status);
}

} // namespace pidleak::guard

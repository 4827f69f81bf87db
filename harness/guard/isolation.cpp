#include "harness/guard/isolation.hpp"

#include "harness/guard/relay.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
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
    ::sigaction(SIGCHLD, &original.on_child, nullptr);
    ::sigprocmask(SIG_SETMASK, &original.mask, nullptr);
    options.tier = reports::Tier::namespace_;
    options.outer_proc = outer_proc.get();
    status = body();
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak guard: %s\n", e.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

/// The guard below can't stop as the init of a namespace, so that whoever waits for us would not see the job stop.
void let_the_terminal_stop_us() {
  sigset_t stops;
  ::sigemptyset(&stops);
  for (int signal : {SIGTSTP, SIGTTIN, SIGTTOU})
    ::sigaddset(&stops, signal);
  ::sigprocmask(SIG_UNBLOCK, &stops, nullptr);
}

} // namespace

void in_pid_namespace(Options &options, const std::function<int()> &body) {
  os::unshare_for_init(::geteuid() == 0 ? os::NamespaceKind::privileged : os::NamespaceKind::with_user_namespace);
  Relay relay;
  let_the_terminal_stop_us();
  auto lifeline = os::open_pipe();
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of the namespace's init");
  if (pid == 0)
    be_init(options, relay.original(), std::move(lifeline), body);
  auto init = os::ProcessRef::open(pid).value(); // own and unreaped: it is there
  for (;;) {
    if (auto status = os::try_reap(init)) {
      std::fflush(nullptr);
      ::_exit(status->signaled ? 128 + status->value : status->value);
    }
    relay.wait(&init, {});
  }
}

} // namespace pidleak::guard

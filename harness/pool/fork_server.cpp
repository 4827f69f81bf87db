// Start method forkserver: the server's end. One thread, so that every fork copies a process at rest.
#include "harness/os/pipe.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/pool/starter.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <stdexcept>

namespace pidleak::pool {
namespace {

os::UniqueFd take_descriptor(std::vector<std::string> &arguments, std::string_view option) {
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    if (!argument->starts_with(option))
      continue;
    int fd = -1;
    std::from_chars(argument->data() + option.size(), argument->data() + argument->size(), fd);
    arguments.erase(argument);
    return os::UniqueFd::adopt(fd);
  }
  throw std::invalid_argument("missing option " + std::string(option));
}

/// Blocks SIGCHLD and gives the descriptor that reports it. Children get the old mask back.
os::UniqueFd watch_children(sigset_t &before) {
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child_signal, &before);
  auto fd = os::UniqueFd::adopt(::signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    os::throw_errno("signalfd(SIGCHLD)");
  return fd;
}

} // namespace

void run_fork_server(std::vector<std::string> &arguments, const WorkerCode &code) {
  auto ends = WorkerEnds::from_arguments(arguments);
  auto requests = take_descriptor(arguments, "--requests=");
  auto replies = take_descriptor(arguments, "--replies=");
  if (ends.leave_with != 0)
    ends.leave_with = ::getpid(); // one that its owner was not told of yet is lost to the pool without this server
  auto sigchld_of_children = ::signal(SIGCHLD, SIG_DFL); // exec keeps an ignored one: the kernel would reap at once
  sigset_t mask_of_children;
  auto child_events = watch_children(mask_of_children);
  for (;;) {
    pollfd events[] = {{.fd = requests.get(), .events = POLLIN, .revents = 0},
                       {.fd = child_events.get(), .events = POLLIN, .revents = 0}};
    if (::poll(events, 2, -1) < 0 && errno != EINTR)
      os::throw_errno("poll(requests, SIGCHLD)");
    if (events[1].revents) {
      signalfd_siginfo ignored;
      while (::read(child_events.get(), &ignored, sizeof ignored) > 0) {
      }
      os::reap_exited_children();
    }
    if (!events[0].revents)
      continue;
    char request = 0;
    if (!os::read_exactly(requests.get(), &request, 1)) {
      os::reap_exited_children();
      return; // the owner has closed its end, or is gone
    }
    pid_t pid = ::fork();
    if (pid < 0)
      os::throw_errno("fork() of a worker");
    if (pid == 0) {
      requests.reset();
      replies.reset();
      child_events.reset();
      ::signal(SIGCHLD, sigchld_of_children);
      ::pthread_sigmask(SIG_SETMASK, &mask_of_children, nullptr);
      try {
        code.import_main();
        run_worker(ends, code);
      } catch (const std::exception &e) {
        std::fprintf(stderr, "worker %d: %s\n", ::getpid(), e.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
    os::write_all(replies.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    if (os::read_exactly(requests.get(), &request, 1) && request == '-') { // the owner can't hold it
      ::kill(pid, SIGKILL);
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
      os::write_all(replies.get(), "-");
    }
  }
}

} // namespace pidleak::pool

// pidleak-planted-server PORT [--mended]: a pre-fork server with one window: it has workers before it handles SIGTERM.
// Mended, SIGTERM is blocked until it does. The port is opened last. A worker answers each connection with its pid.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int workers = 2;
volatile pid_t worker_pids[workers];

/// Those that it has started: children that were not waited for, so that a pid is its own.
void end_workers(int) {
  for (pid_t pid : worker_pids)
    if (pid > 0)
      ::kill(pid, SIGKILL);
  ::_exit(0);
}

int listen_on(int port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
    std::perror("pidleak-planted-server: bind");
    std::exit(1);
  }
  return fd;
}

[[noreturn]] void serve(int listener, int open) {
  char byte = 0;
  while (::read(open, &byte, 1) != 1) { // the port is not open yet
  }
  while (true) {
    int client = ::accept(listener, nullptr, nullptr);
    if (client >= 0)
      ::dprintf(client, "%d\n", ::getpid());
    ::close(client);
  }
}

} // namespace

int main(int argc, char **argv) {
  bool mended = argc == 3 && std::strcmp(argv[2], "--mended") == 0;
  int port = argc > 1 ? std::atoi(argv[1]) : 0;
  if (port <= 0 || (argc > 2 && !mended)) {
    std::fprintf(stderr, "usage: pidleak-planted-server PORT [--mended]\n");
    return 2;
  }
  int listener = listen_on(port);
  int open[2];
  if (::pipe(open) != 0)
    return 1;
  sigset_t term, before;
  ::sigemptyset(&term);
  ::sigaddset(&term, SIGTERM);
  if (mended)
    ::sigprocmask(SIG_BLOCK, &term, &before);
  for (volatile pid_t &pid : worker_pids) {
    pid = ::fork();
    if (pid == 0) {
      if (mended) // with the disposition that it has from its parent: the default
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
      serve(listener, open[0]);
    }
  }
  std::signal(SIGTERM, end_workers);
  if (mended)
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (::listen(listener, 5) != 0 || ::write(open[1], "12", workers) != workers)
    end_workers(SIGTERM);
  while (true)
    ::pause();
}

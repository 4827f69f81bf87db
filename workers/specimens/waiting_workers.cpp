// One worker that outlives its owner, and waits: each in another system call.
#include "workers/specimens/specimen.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace pidleak::specimens {
namespace {

const timespec an_hour{.tv_sec = an_hour_s, .tv_nsec = 0};

Specimen orphan(const std::string &name, const std::string &what, const std::string &causes,
                const std::function<void()> &body) {
  return {.name = name, .what = what, .verdict = "leaked", .causes = causes, .run = [body] { start(body); }};
}

void block_all() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
}

int in_epoll(int fd) {
  int set = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
  return set;
}

std::string temporary_path(const char *name) {
  const char *directory = std::getenv("TMPDIR");
  return std::string(directory ? directory : "/tmp") + "/" + name;
}

void listen_on_a_unix_socket() {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  auto path = temporary_path("listener");
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address);
  ::listen(fd, 1);
  ::accept(fd, nullptr, nullptr);
}

void lock_a_mutex_twice() {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ::pthread_mutex_lock(&mutex);
  ::pthread_mutex_lock(&mutex);
}

void wait_for_a_condition() {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  ::pthread_mutex_lock(&mutex);
  ::pthread_cond_wait(&condition, &mutex);
}

void join_a_thread_that_pauses() {
  std::thread thread(pause_for_ever);
  thread.join();
}

void wait_for_a_file_lock() {
  auto path = temporary_path("lock");
  int held = ::open(path.c_str(), O_RDWR | O_CREAT, 0600), wanted = ::open(path.c_str(), O_RDWR);
  ::flock(held, LOCK_EX);
  ::flock(wanted, LOCK_EX);
}

} // namespace

std::vector<Specimen> waiting_workers() {
  return {
      orphan("pauses", "waits in pause() for a signal that never comes", "waits-for-signal", pause_for_ever),
      orphan("suspends", "waits in sigsuspend()", "waits-for-signal",
             [] {
               sigset_t none;
               ::sigemptyset(&none);
               ::sigsuspend(&none);
             }),
      orphan("waits-for-a-signal", "waits in sigwaitinfo() with every signal blocked", "waits-for-signal",
             [] {
               block_all();
               sigset_t all;
               ::sigfillset(&all);
               ::sigwaitinfo(&all, nullptr);
             }),
      orphan("reads-its-own-pipe", "reads a pipe whose write end it has forgotten to close", "pipe-held-open",
             [] {
               auto pipe = os::open_pipe();
               read_byte(pipe.read_end.get());
             }),
      orphan("fills-its-own-pipe", "writes to a full pipe whose read end no process reads", "pipe-full",
             [] {
               auto pipe = os::open_pipe();
               fill(pipe);
               write_byte(pipe.write_end.get());
             }),
      orphan("polls", "waits in poll() without a timeout", "waits-for-events",
             [] {
               auto pipe = os::open_pipe();
               pollfd end{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
               ::poll(&end, 1, -1);
             }),
      orphan("selects", "waits in select() without a timeout", "waits-for-events",
             [] {
               auto pipe = os::open_pipe();
               fd_set set;
               FD_ZERO(&set);
               FD_SET(pipe.read_end.get(), &set);
               ::select(pipe.read_end.get() + 1, &set, nullptr, nullptr, nullptr);
             }),
      orphan("waits-in-epoll", "waits in epoll_wait() without a timeout", "waits-for-events",
             [] {
               auto pipe = os::open_pipe();
               epoll_event event{};
               ::epoll_wait(in_epoll(pipe.read_end.get()), &event, 1, -1);
             }),
      orphan("reads-an-eventfd", "reads an eventfd that no process adds to", "waits-for-peer",
             [] { read_count(::eventfd(0, EFD_CLOEXEC)); }),
      orphan("reads-a-signalfd", "reads a signalfd, and no signal comes", "waits-for-peer",
             [] {
               block_all();
               sigset_t all;
               ::sigfillset(&all);
               signalfd_siginfo info{};
               os::read_exactly(::signalfd(-1, &all, SFD_CLOEXEC), &info, sizeof info);
             }),
      orphan("reads-its-own-socket", "reads one end of a socket pair, and holds the other", "pipe-held-open",
             [] {
               int ends[2];
               ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
               read_byte(ends[0]);
             }),
      orphan("accepts", "waits for a connection that never comes", "waits-for-peer", listen_on_a_unix_socket),
      orphan("locks-a-mutex-twice", "locks a mutex that it holds", "waits-for-lock", lock_a_mutex_twice),
      orphan("waits-for-a-condition", "waits for a condition that is never signalled", "waits-for-lock",
             wait_for_a_condition),
      orphan("joins-a-thread-that-pauses", "its main thread joins one that never ends", "waits-for-lock",
             join_a_thread_that_pauses),
      orphan("waits-for-a-child-that-pauses", "waits for a child of its own that never ends",
             "waits-for-child, waits-for-signal", [] { wait_for(start(pause_for_ever)); }),
      orphan("stops-itself", "stops, as a background job that reads from its terminal", "stopped",
             [] { ::raise(SIGSTOP); }),
      {"is-stopped", "is stopped by its owner, which then exits", "leaked", "stopped",
       [] {
         pid_t worker = start(pause_for_ever);
         os::ProcessRef::open(worker)->send(SIGSTOP);
       }},
      {"blocks-sigterm", "blocks SIGTERM, which its owner sends before it exits", "leaked", "sigterm-blocked",
       [] {
         pid_t worker = start_and_wait([](const auto &ready) {
           block_all();
           ready();
           pause_for_ever();
         });
         os::ProcessRef::open(worker)->send(SIGTERM);
       }},
      orphan("sleeps", "sleeps for an hour", "timer", [] { ::nanosleep(&an_hour, nullptr); }),
      orphan("polls-for-an-hour", "waits in poll() for an hour", "timer",
             [] {
               auto pipe = os::open_pipe();
               pollfd end{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
               ::poll(&end, 1, an_hour_s * 1000);
             }),
      orphan("waits-for-a-lock-for-an-hour", "waits for a lock for an hour", "timer",
             [] { ::syscall(SYS_futex, share(4096), FUTEX_WAIT, 0, &an_hour, nullptr, 0); }),
      orphan("computes", "computes for ever", "runs",
             [] {
               for (volatile bool on = true; on;) {
               }
             }),
      orphan("waits-for-a-file-lock", "waits for a lock on a file, which another descriptor of its own holds",
             "waits-for-lock", wait_for_a_file_lock),
      orphan("opens-a-fifo", "opens a FIFO that no process opens for writing", "waits-for-peer",
             [] {
               auto path = temporary_path("fifo");
               ::mkfifo(path.c_str(), 0600);
               ::open(path.c_str(), O_RDONLY);
             }),
  };
}

} // namespace pidleak::specimens

// Twins: workers that look like those that stay, and leave by themselves a while after their owner.
#include "harness/os/procfs.hpp"
#include "workers/specimens/specimen.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace pidleak::specimens {
namespace {

const timespec a_while{.tv_sec = 0, .tv_nsec = a_while_ms * 1000000L};

Specimen twin(const std::string &name, const std::string &what, const std::function<void()> &run) {
  return {.name = name, .what = what, .verdict = "clean", .causes = "", .run = run};
}

Specimen slow_orphan(const std::string &name, const std::string &what, const std::function<void()> &body) {
  return twin(name, what, [body] { start(body); });
}

void end_at(int) { ::_exit(0); }

/// One worker waits with `wait`, and another, after a while, does what ends that.
void help_after_a_while(const std::function<void()> &wait, const std::function<void()> &help) {
  start(wait);
  start([&] {
    sleep_ms(a_while_ms);
    help();
  });
}

void wait_for_a_timer_signal() {
  ::signal(SIGALRM, end_at);
  timer_t timer{};
  ::timer_create(CLOCK_MONOTONIC, nullptr, &timer);
  itimerspec soon{.it_interval = {}, .it_value = a_while};
  ::timer_settime(timer, 0, &soon, nullptr);
  pause_for_ever();
}

void wait_for_an_interval_timer() {
  ::signal(SIGALRM, end_at);
  itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = a_while_ms * 1000L}};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  pause_for_ever();
}

void read_a_timer() {
  int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  itimerspec soon{.it_interval = {}, .it_value = a_while};
  ::timerfd_settime(fd, 0, &soon, nullptr);
  std::uint64_t expirations = 0;
  os::read_exactly(fd, &expirations, sizeof expirations);
}

void receive_with_a_timeout() {
  int ends[2];
  ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  timeval soon{.tv_sec = 0, .tv_usec = a_while_ms * 1000L};
  ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  char byte = 0;
  ::recv(ends[0], &byte, 1, 0);
}

void *leave_after_a_while(void *) {
  sleep_ms(a_while_ms);
  ::_exit(0);
}

void lose_the_leader_for_a_while() {
  pthread_t thread{};
  ::pthread_create(&thread, nullptr, leave_after_a_while, nullptr);
  ::pthread_exit(nullptr);
}

void clean_up_at_sigterm() {
  pid_t worker = start_and_wait([](const auto &ready) {
    ::signal(SIGTERM, [](int) {
      sleep_ms(a_while_ms);
      ::_exit(0);
    });
    ready();
    pause_for_ever();
  });
  os::ProcessRef::open(worker)->send(SIGTERM);
}

} // namespace

std::vector<Specimen> workers_that_end() {
  return {
      slow_orphan("leaves-late", "sleeps for a while", [] { sleep_ms(a_while_ms); }),
      slow_orphan("leaves-busy", "computes for a while", [] { compute_ms(a_while_ms); }),
      slow_orphan("leaves-after-a-second", "sleeps for longer than the others", [] { sleep_ms(1000); }),
      slow_orphan("naps-often", "sleeps a hundred times for a millisecond",
                  [] {
                    for (int nap = 0; nap < 100; ++nap)
                      sleep_ms(1);
                  }),
      slow_orphan("polls-for-a-while", "waits in poll() with a timeout",
                  [] {
                    auto pipe = os::open_pipe();
                    pollfd end{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
                    ::poll(&end, 1, a_while_ms);
                  }),
      slow_orphan("waits-for-a-lock-for-a-while", "waits for a lock with a timeout",
                  [] { ::syscall(SYS_futex, share(4096), FUTEX_WAIT, 0, &a_while, nullptr, 0); }),
      slow_orphan("receives-for-a-while", "waits for a socket with a timeout of the socket's", receive_with_a_timeout),
      slow_orphan("reads-a-timer", "reads a timer's descriptor", read_a_timer),
      slow_orphan("waits-for-a-timer", "pauses until a POSIX timer sends a signal", wait_for_a_timer_signal),
      slow_orphan("waits-for-an-alarm", "pauses until an interval timer, which /proc does not show, sends a signal",
                  wait_for_an_interval_timer),
      slow_orphan("loses-its-leader-for-a-while", "its first thread ends at once, and the other after a while",
                  lose_the_leader_for_a_while),
      slow_orphan("forks-twice-and-leaves", "becomes a daemon, which ends after a while",
                  [] {
                    ::setsid();
                    start([] { sleep_ms(a_while_ms); });
                  }),
      twin("leaves-at-the-end-of-the-queue", "reads a pipe to its end, which its owner's exit brings",
           [] {
             auto pipe = os::open_pipe();
             for (int worker = 0; worker < 3; ++worker)
               start([&] {
                 pipe.write_end.reset();
                 read_byte(pipe.read_end.get());
               });
           }),
      twin("leaves-with-its-owner", "gets a signal when its owner ends",
           [] {
             start_and_wait([](const auto &ready) {
               ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
               ready();
               pause_for_ever();
             });
           }),
      twin("cleans-up-at-sigterm", "has a handler that takes a while and then exits", clean_up_at_sigterm),
      twin("gets-the-lock-after-a-while", "waits for a lock that another worker releases",
           [] {
             auto *lock = static_cast<sem_t *>(share(sizeof(sem_t)));
             ::sem_init(lock, 1, 0);
             help_after_a_while([&] { ::sem_wait(lock); }, [&] { ::sem_post(lock); });
           }),
      twin("is-written-to-after-a-while", "reads a pipe to which another worker writes",
           [] {
             auto pipe = os::open_pipe();
             help_after_a_while([&] { read_byte(pipe.read_end.get()); }, [&] { write_byte(pipe.write_end.get()); });
           }),
      twin("is-answered-after-a-while", "reads a socket to which another worker writes",
           [] {
             int ends[2];
             ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
             help_after_a_while([&] { read_byte(ends[0]); }, [&] { write_byte(ends[1]); });
           }),
      twin("is-added-to-after-a-while", "reads an eventfd to which another worker adds",
           [] {
             int event = ::eventfd(0, EFD_CLOEXEC);
             help_after_a_while([&] { read_count(event); },
                                [&] {
                                  std::uint64_t one = 1;
                                  os::write_all(event, {reinterpret_cast<const char *>(&one), sizeof one});
                                });
           }),
      twin("is-continued-after-a-while", "is stopped, and continued by another worker",
           [] {
             pid_t stopped = start([] { ::raise(SIGSTOP); });
             start([stopped] {
               while (!os::is_stopped(stopped)) // else SIGCONT may come first, and it stays
                 sleep_ms(1);
               sleep_ms(a_while_ms);
               os::ProcessRef::open(stopped)->send(SIGCONT);
             });
           }),
      twin("is-signalled-after-a-while", "pauses until another worker sends a signal",
           [] {
             pid_t paused = start(pause_for_ever);
             start([paused] {
               sleep_ms(a_while_ms);
               os::ProcessRef::open(paused)->send(SIGTERM);
             });
           }),
      slow_orphan("waits-for-a-child-that-leaves", "waits for a child of its own that takes a while",
                  [] { wait_for(start([] { sleep_ms(a_while_ms); })); }),
      slow_orphan("waits-in-vfork", "waits, uninterruptible, for the child that has its memory",
                  [] {
                    if (::vfork() == 0) {
                      ::usleep(a_while_ms * 1000);
                      ::_exit(0);
                    }
                  }),
      slow_orphan("forks-a-relay-that-ends", "forks the next and ends, two hundred times over",
                  [] {
                    std::function<void(int)> relay = [&](int left) {
                      if (left > 0)
                        start([&] { relay(left - 1); });
                    };
                    relay(200);
                  }),
  };
}

} // namespace pidleak::specimens

// Stuck for good, or merely waiting? Each kind of wait that never ends by itself, and its twin that does.
#include "harness/census/rest_test_support.hpp"
#include "harness/census/thread_look.hpp"
#include "harness/census/tree.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <ctime>
#include <thread>

using namespace pidleak;
using testing::expect;

namespace {

const timespec an_hour{.tv_sec = 3600, .tv_nsec = 0};

census::Rest rest() { return testing::rest_below({.root = ::getpid()}, {}); }

struct TriedWait {
  const char *name;
  bool stuck;
  const char *why_not;           // part of what is said, if not stuck
  long syscall;                  // where it is to be seen first; -1: nowhere
  std::function<void()> forever; // runs in a child, which holds nothing of its parent's but this
};

void wait_on_futex(int operation, const timespec *timeout) {
  auto *word =
      static_cast<std::uint32_t *>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ::syscall(SYS_futex, word, operation, 0, timeout, nullptr, 0);
}

void poll_a_pipe(int timeout_ms) {
  auto pipe = os::open_pipe();
  pollfd end{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
  ::poll(&end, 1, timeout_ms);
}

/// Opens a FIFO as any user of the machine might. Its path is gone at once, so that no test leaves it behind.
os::UniqueFd open_fifo(int flags) {
  auto path = fmt::format("/tmp/pidleak-test-fifo-{}", ::getpid());
  expect(::mkfifo(path.c_str(), 0600) == 0, path);
  auto place = os::UniqueFd::adopt(::open(path.c_str(), O_PATH | O_CLOEXEC));
  ::unlink(path.c_str());
  return os::UniqueFd::adopt(::open(fmt::format("/proc/self/fd/{}", place.get()).c_str(), flags | O_CLOEXEC));
}

void read_from_a_pipe_of_its_own() {
  auto pipe = os::open_pipe();
  char byte = 0;
  os::read_exactly(pipe.read_end.get(), &byte, 1);
}

const std::vector<TriedWait> &tried_waits() {
  static const std::vector<TriedWait> all = {
      {"reads a pipe whose writers are its own", true, "", SYS_read, read_from_a_pipe_of_its_own},
      {"pauses", true, "", SYS_pause, testing::pause_for_ever},
      {"waits for a signal that is never sent", true, "", SYS_rt_sigtimedwait,
       [] {
         sigset_t all_signals;
         ::sigfillset(&all_signals);
         ::sigprocmask(SIG_BLOCK, &all_signals, nullptr);
         ::sigwaitinfo(&all_signals, nullptr);
       }},
      {"waits for a shared lock without a timeout", true, "", SYS_futex, [] { wait_on_futex(FUTEX_WAIT, nullptr); }},
      {"waits for a private lock without a timeout", true, "", SYS_futex,
       [] { wait_on_futex(FUTEX_WAIT | FUTEX_PRIVATE_FLAG, nullptr); }},
      {"polls a pipe without a timeout", true, "", SYS_poll, [] { poll_a_pipe(-1); }},
      {"waits for a child that pauses", true, "", SYS_wait4,
       [] {
         auto child = testing::plant();
         ::waitpid(child.pid(), nullptr, 0);
       }},

      {"sleeps", false, "may end by itself", SYS_clock_nanosleep, [] { ::nanosleep(&an_hour, nullptr); }},
      {"waits for a lock with a timeout", false, "may end by itself", SYS_futex,
       [] { wait_on_futex(FUTEX_WAIT, &an_hour); }},
      {"polls with a timeout", false, "may end by itself", SYS_poll, [] { poll_a_pipe(3600000); }},
      {"waits for a signal with a timeout", false, "may end by itself", SYS_rt_sigtimedwait,
       [] {
         sigset_t none;
         ::sigemptyset(&none);
         ::sigtimedwait(&none, nullptr, &an_hour);
       }},
      {"reads a timer descriptor", false, "timerfd", SYS_read,
       [] {
         int fd = ::timerfd_create(CLOCK_MONOTONIC, 0);
         itimerspec in_an_hour{.it_interval = {}, .it_value = an_hour};
         ::timerfd_settime(fd, 0, &in_an_hour, nullptr);
         std::uint64_t expirations = 0;
         os::read_exactly(fd, reinterpret_cast<char *>(&expirations), sizeof expirations);
       }},
      {"has a POSIX timer", false, "POSIX timer", SYS_pause,
       [] {
         timer_t timer{};
         ::timer_create(CLOCK_MONOTONIC, nullptr, &timer);
         itimerspec in_an_hour{.it_interval = {}, .it_value = an_hour};
         ::timer_settime(timer, 0, &in_an_hour, nullptr);
         testing::pause_for_ever();
       }},
      {"has set an alarm", false, "alarm", SYS_pause,
       [] {
         ::alarm(3600);
         testing::pause_for_ever();
       }},
      {"reads a unix socket whose other end is its own", true, "", SYS_read,
       [] {
         int ends[2];
         ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
         char byte = 0;
         os::read_exactly(ends[0], &byte, 1);
       }},
      {"reads a unix socket with a timeout", false, "may have a timeout", SYS_recvfrom,
       [] {
         int ends[2];
         ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
         timeval limit{.tv_sec = 3600, .tv_usec = 0};
         ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
         char byte = 0;
         ::recv(ends[0], &byte, 1, 0);
       }},
      {"reads a unix socket whose other end is not held in the replay", false, "waits for socket:", SYS_read,
       [] {
         int ends[2];
         ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
         iovec nothing{.iov_base = const_cast<char *>("."), .iov_len = 1};
         alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
         msghdr message{};
         message.msg_iov = &nothing;
         message.msg_iovlen = 1;
         message.msg_control = space;
         message.msg_controllen = sizeof space;
         auto *header = CMSG_FIRSTHDR(&message);
         header->cmsg_level = SOL_SOCKET;
         header->cmsg_type = SCM_RIGHTS;
         header->cmsg_len = CMSG_LEN(sizeof(int));
         std::memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
         int post[2]; // the other end is on its way to the reader of this
         ::socketpair(AF_UNIX, SOCK_STREAM, 0, post);
         ::sendmsg(post[0], &message, 0);
         ::close(ends[1]);
         char byte = 0;
         os::read_exactly(ends[0], &byte, 1);
       }},
      {"polls a unix socket to which any process may connect", false, "may wait for socket:", SYS_poll,
       [] {
         sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}}; // the kernel gives it an abstract name
         pollfd end{.fd = ::socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN, .revents = 0};
         ::bind(end.fd, reinterpret_cast<sockaddr *>(&address), sizeof(sa_family_t));
         ::listen(end.fd, 1);
         ::poll(&end, 1, -1);
       }},
      {"reads a socket of the network's", false, "waits for socket:", SYS_recvfrom,
       [] {
         int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
         char byte = 0;
         ::recv(fd, &byte, 1, 0);
       }},
      {"reads a FIFO of the machine's", false, "waits for /tmp/", SYS_read,
       [] {
         auto fifo = open_fifo(O_RDWR);
         char byte = 0;
         os::read_exactly(fifo.get(), &byte, 1);
       }},
      {"polls a FIFO of the machine's", false, "may wait for /tmp/", SYS_poll,
       [] {
         auto fifo = open_fifo(O_RDWR);
         pollfd end{.fd = fifo.get(), .events = POLLIN, .revents = 0};
         ::poll(&end, 1, -1);
       }},
      {"opens a FIFO of the machine's", false, "may end by itself", SYS_openat, [] { open_fifo(O_RDONLY); }},
      {"computes", false, "state R", -1,
       [] {
         for (volatile bool on = true; on;) {
         }
       }},
  };
  return all;
}

} // namespace

TEST_CASE("a wait is called endless if nothing but the replay could end it, and only then", "[census]") {
  for (const auto &wait : tried_waits())
    DYNAMIC_SECTION((wait.stuck ? "stuck: " : "not stuck: ") << wait.name) {
      bool alarms_show = ::access("/proc/timer_list", R_OK) == 0;
      if (wait.stuck && !alarms_show)
        SKIP("without /proc/timer_list nothing is ever called stuck");
      testing::check_in_child([&] {
        auto child = testing::start(wait.forever);
        if (wait.syscall >= 0)
          testing::wait_until_in(child, wait.syscall);
        if (wait.stuck) // its own child may still be on its way
          testing::wait_until([] { return rest().certain; }, "it is found to be stuck");
        auto found = rest();
        expect(found.certain == wait.stuck, found.certain ? "it is not called stuck" : found.why_not);
        expect(found.why_not.find(wait.why_not) != std::string::npos, found.why_not);
      });
    }
}

TEST_CASE("stopped processes and zombies never move", "[census]") {
  if (::access("/proc/timer_list", R_OK) != 0)
    SKIP("without /proc/timer_list nothing is ever called stuck");
  testing::check_in_child([] {
    auto zombie = testing::start([] {});
    auto stopped = testing::start([] { ::nanosleep(&an_hour, nullptr); });
    stopped.send(SIGSTOP);
    testing::wait_until_state(stopped, 'T');
    os::wait_for_any_exit({zombie.pidfd()}, std::chrono::seconds(10));
    expect(rest().certain, rest().why_not);
    stopped.send(SIGCONT);
    testing::wait_until_state(stopped, 'S');
    expect(!rest().certain, "it sleeps on");
  });
}

TEST_CASE("what waits without a timer of its call's stands still, and what moves does not", "[census]") {
  testing::check_in_child([] {
    census::Scope scope{.root = ::getpid()};
    auto stands_still = [&] { return census::stand_still(census::walk_once(scope), scope).certain; };
    auto with_alarm = testing::start([] {
      ::alarm(3600);
      testing::pause_for_ever();
    });
    testing::wait_until_in(with_alarm, SYS_pause);
    expect(stands_still(), "it pauses, whatever may wake it later");
    auto members = census::walk_once(scope);
    auto sleeper = testing::start([] { ::nanosleep(&an_hour, nullptr); });
    testing::wait_until_in(sleeper, SYS_clock_nanosleep);
    expect(!stands_still(), "one of them sleeps");
    expect(!census::stand_still(members, scope).certain, "one has come since the walk");
  });
}

TEST_CASE("a tree that moved stands still once what moved waits", "[census]") {
  testing::check_in_child([] {
    census::Tree tree({.scope = {.root = ::getpid()}, .boundary = {}});
    census::Spinning spinning;
    auto other = testing::plant();
    auto sleeper = testing::start([] { ::nanosleep(&an_hour, nullptr); });
    testing::wait_until_in(other, SYS_pause);
    testing::wait_until_in(sleeper, SYS_clock_nanosleep);
    expect(!tree.stands_still_or_spins(spinning), "one of them sleeps");
    expect(!tree.stands_still_or_spins(spinning), "and sleeps on");
    sleeper.send(SIGSTOP);
    testing::wait_until_state(sleeper, 'T');
    expect(tree.stands_still_or_spins(spinning), "now it is stopped");
  });
}

TEST_CASE("a process that exits between the walk and the look was not at rest", "[census]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    census::Scope scope{.root = ::getpid()};
    auto members = census::walk_once(scope);
    child.send(SIGKILL);
    os::wait_for_any_exit({child.pidfd()}, std::chrono::seconds(10));
    expect(!census::at_rest(members, scope, {}).certain, "a live one that is a zombie now");
    expect(!census::at_rest({}, scope, {}).certain, "one that the walk did not see");
  });
}

TEST_CASE("a process whose leader has exited rests when its other threads do", "[census]") {
  if (::access("/proc/timer_list", R_OK) != 0)
    SKIP("without /proc/timer_list nothing is ever called stuck");
  testing::check_in_child([] {
    auto child = testing::start([] {
      std::thread(testing::pause_for_ever).detach();
      ::syscall(SYS_exit, 0);
    });
    testing::wait_until_state(child, 'Z');
    testing::wait_until([] { return rest().certain; }, "it is at rest");
  });
}

TEST_CASE("what happens between two looks is no rest: a thread runs, an alarm shows", "[census]") {
  if (::geteuid() != 0)
    SKIP("only root may mount");
  for (bool runs : {true, false})
    testing::check_in_child([=] {
      // In place of the kernel's list of timers, which is read between two looks: who reads it the first time waits.
      const std::string list = "Timer List Version: v0.10\n #0: <00>, tick_nohz_handler, S:01\n",
                        later = list + (runs ? "" : " #1: <01>, it_real_fn, S:01\n");
      auto bind = [](const char *file) { return ::mount(file, "/proc/timer_list", nullptr, MS_BIND, nullptr) == 0; };
      if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("none", "/tmp", "tmpfs", 0, nullptr) != 0 || ::mkfifo("/tmp/first", 0600) != 0 || !bind("/tmp/first"))
        return; // a container
      os::UniqueFd::adopt(::open("/tmp/later", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      os::write_file("/tmp/later", later);
      auto there = os::open_pipe(), back = os::open_pipe();
      auto child = testing::start([&] {
        for (char byte = 0; os::read_exactly(there.read_end.get(), &byte, 1);)
          os::write_all(back.write_end.get(), ".");
      });
      testing::wait_until_in(child, SYS_read);
      std::thread meanwhile([&] {
        auto first = os::UniqueFd::adopt(::open("/tmp/first", O_WRONLY | O_CLOEXEC));
        if (char byte = 0; runs) {
          os::write_all(there.write_end.get(), ".");
          os::read_exactly(back.read_end.get(), &byte, 1);
          testing::wait_until_in(child, SYS_read);
        }
        bind("/tmp/later");
        os::write_all(first.get(), list);
      });
      census::Scope scope{.root = ::getpid()};
      auto found = census::at_rest(census::walk_once(scope), scope, {});
      meanwhile.join();
      expect(!found.certain, "it is not called stuck");
      testing::expect_part(found.why_not, runs ? "a thread ran between two samples" : "has set an alarm");
    });
}

TEST_CASE("a thread to which a signal is on its way moves, whatever it waits in", "[census]") {
  census::ThreadLook look{.state = 'S', .has_call = true, .call = {.number = SYS_rt_sigsuspend}, .deliverable = 0};
  CHECK(census::why_moving(look).empty());
  look.deliverable = 1ULL << (SIGTERM - 1);
  CHECK(census::why_moving(look) == "a signal is about to be delivered");
}

TEST_CASE("one that was stopped at the walk and goes on at the look was not at rest", "[census]") {
  testing::check_in_child([] {
    auto child = testing::plant([] {
      timer_t timer{};
      ::timer_create(CLOCK_MONOTONIC, nullptr, &timer);
    });
    child.send(SIGSTOP);
    testing::wait_until_state(child, 'T');
    census::Scope scope{.root = ::getpid()};
    auto members = census::walk_once(scope);
    child.send(SIGCONT);
    testing::wait_until_in(child, SYS_pause);
    census::Rest found;
    testing::wait_until( // unless another process of this machine has an alarm just now
        [&] {
          found = census::at_rest(members, scope, {});
          return found.why_not.find("has set an alarm") == std::string::npos;
        },
        "what is not known is known");
    expect(!found.certain, "its timer was not asked for while it was stopped");
  });
}

TEST_CASE("a pipe that a process outside holds may still be written to", "[census]") {
  testing::check_in_child([] {
    auto pipe = os::open_pipe();
    auto child = testing::start([&] {
      char byte = 0;
      os::read_exactly(pipe.read_end.get(), &byte, 1);
    });
    testing::wait_until_in(child, SYS_read);
    // The caller is the harness, which knows that it writes to no pipe of the replay's: that is its side of the
    // bargain.
    if (::access("/proc/timer_list", R_OK) == 0)
      expect(rest().certain, rest().why_not);
    os::write_all(pipe.write_end.get(), ".");
    os::wait_for_any_exit({child.pidfd()}, std::chrono::seconds(10));
    expect(child.has_exited(), "it went on");
  });
}

TEST_CASE("under a watch alarms are known to any user, and those of other processes do not matter", "[census]") {
  if (::geteuid() != 0)
    SKIP("only root may ask for a watch outside of a sandbox");
  enum class Sets { nothing, alarm, timer_by_a_grandchild };
  for (auto sets : {Sets::nothing, Sets::alarm, Sets::timer_by_a_grandchild})
    testing::check_in_child([=] {
      ::alarm(100); // before the watch: this process's own, which is not among those that are asked for
      census::Boundary watched{.alarms = os::AlarmWatch::start()};
      if (!watched.alarms)
        return; // a kernel before 5.5, or a filter
      auto child = testing::plant([=] {
        if (sets == Sets::alarm)
          ::alarm(100);
        if (sets == Sets::timer_by_a_grandchild)
          testing::plant([] {
            itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 100, .tv_usec = 0}};
            expect(::setitimer(ITIMER_REAL, &soon, nullptr) == 0, "setitimer");
          });
      });
      census::Scope scope{.root = ::getpid()};
      auto is_certain = [&] { return census::at_rest(census::walk_once(scope), scope, watched).certain; };
      if (sets == Sets::nothing)
        testing::wait_until(is_certain, "it is at rest");
      else
        expect(!is_certain(), "an alarm is missed");
      expect(!census::at_rest(census::walk_once(scope), scope, {}).certain, "without a watch it is not known");
    });
}

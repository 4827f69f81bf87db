// Inside and outside: a wait that a process outside may end is never called endless, and its twin inside is.
#include "harness/census/boundary.hpp"
#include "harness/census/diagnosis.hpp"
#include "harness/census/quiescence.hpp"
#include "harness/census/rest_test_support.hpp"
#include "harness/os/sources.hpp"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

using namespace pidleak;
using testing::expect;

namespace {

bool alarms_show() { return os::read_alarms() != os::Alarms::not_shown; }

census::Rest rest(const census::Boundary &boundary) { return testing::rest_below({.root = ::getpid()}, boundary); }

void wait_in_poll(int fd, short events = POLLIN) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  ::poll(&entry, 1, -1);
}

void wait_in_read(int fd) {
  char bytes[8];
  os::read_exactly(fd, bytes, sizeof bytes);
}

/// A wait on something that was made before the boundary was taken, or after it.
struct OutsideWait {
  const char *name;
  const char *why_not; // part of what is said where it is held outside
  long syscall;
  std::function<int()> make; // a descriptor
  std::function<void(int)> wait;
};

int keep(os::UniqueFd fd) { return fd.release(); }

const std::vector<OutsideWait> &waits() {
  static const std::vector<OutsideWait> all = {
      {"reads a pipe", "held outside", SYS_read,
       [] {
         auto pipe = os::open_pipe();
         keep(std::move(pipe.write_end));
         return keep(std::move(pipe.read_end));
       },
       wait_in_read},
      {"writes to a full pipe", "held outside", SYS_write,
       [] {
         auto pipe = os::open_pipe();
         keep(std::move(pipe.read_end));
         return keep(std::move(pipe.write_end));
       },
       [](int fd) { os::write_all(fd, std::string(1 << 20, '.')); }},
      {"polls a pipe", "held outside", SYS_poll,
       [] {
         auto pipe = os::open_pipe();
         keep(std::move(pipe.write_end));
         return keep(std::move(pipe.read_end));
       },
       [](int fd) { wait_in_poll(fd); }},
      {"reads a unix socket", "held outside", SYS_read,
       [] {
         int ends[2];
         expect(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
         return ends[0];
       },
       wait_in_read},
      {"reads an eventfd", "held outside", SYS_read, [] { return ::eventfd(0, 0); }, wait_in_read},
      {"waits in epoll for a pipe", "held outside", SYS_epoll_wait,
       [] {
         auto pipe = os::open_pipe();
         keep(std::move(pipe.write_end));
         return keep(std::move(pipe.read_end));
       },
       [](int fd) {
         int epoll = ::epoll_create1(0);
         epoll_event event{.events = EPOLLIN, .data = {}};
         ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
         ::epoll_wait(epoll, &event, 1, -1);
       }},
      {"waits in select for a pipe", "held outside", SYS_select,
       [] {
         auto pipe = os::open_pipe();
         keep(std::move(pipe.write_end));
         return keep(std::move(pipe.read_end));
       },
       [](int fd) {
         fd_set reads;
         FD_ZERO(&reads);
         FD_SET(fd, &reads);
         ::syscall(SYS_select, fd + 1, &reads, nullptr, nullptr, nullptr);
       }},
      {"waits for a lock in a memfd", "shared outside", SYS_futex, [] { return ::memfd_create("lock", 0); },
       [](int fd) {
         expect(::ftruncate(fd, 4096) == 0, "ftruncate");
         auto *word = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
         ::syscall(SYS_futex, word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
       }},
  };
  return all;
}

/// What is never known to be inside: each may go on by what no process here does.
struct Open {
  const char *name;
  const char *why_not;
  long syscall;
  std::function<void()> forever;
};

const std::vector<Open> &open_waits() {
  static const std::vector<Open> all = {
      {"polls the pidfd of a process outside", "which is outside", SYS_poll,
       [] { wait_in_poll(os::ProcessRef::open(::getppid()).value().pidfd()); }},
      {"polls a file of /proc", "may wait for /proc/", SYS_poll,
       [] {
         int fd = ::open("/proc/self/mounts", O_RDONLY);
         char buffer[65536];
         while (::read(fd, buffer, sizeof buffer) > 0) {
         }
         wait_in_poll(fd, POLLPRI);
       }},
      {"waits in epoll for a timer whose descriptor is closed", "can't be told", SYS_epoll_wait,
       [] {
         int epoll = ::epoll_create1(0), timer = ::timerfd_create(CLOCK_MONOTONIC, 0);
         itimerspec in_an_hour{.it_interval = {}, .it_value = {.tv_sec = 3600, .tv_nsec = 0}};
         ::timerfd_settime(timer, 0, &in_an_hour, nullptr);
         epoll_event event{.events = EPOLLIN, .data = {}};
         ::epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
         auto holder = testing::plant(); // and is held elsewhere
         ::close(timer);
         ::epoll_wait(epoll, &event, 1, -1);
       }},
      {"reads an eventfd that asynchronous I/O may signal", "asynchronous I/O", SYS_read,
       [] {
         aio_context_t context = 0;
         ::syscall(SYS_io_setup, 1, &context);
         wait_in_read(::eventfd(0, 0));
       }},
      {"waits for a signal that a pipe may send", "gets a signal when", SYS_pause,
       [] {
         auto pipe = os::open_pipe();
         ::fcntl(pipe.read_end.get(), F_SETFL, O_ASYNC);
         testing::pause_for_ever();
       }},
      {"waits for a signal that a directory may send", "may be told what happens in", SYS_pause,
       [] {
         auto directory = os::UniqueFd::adopt(::open("/tmp", O_RDONLY | O_DIRECTORY));
         ::fcntl(directory.get(), F_NOTIFY, DN_CREATE);
         testing::pause_for_ever();
       }},
  };
  return all;
}

} // namespace

TEST_CASE("what was inherited has another end outside, and what was made since has not", "[census]") {
  if (!alarms_show())
    SKIP("without /proc/timer_list nothing is ever called stuck");
  for (const auto &wait : waits())
    for (bool inherited : {true, false})
      DYNAMIC_SECTION(wait.name << (inherited ? " that was inherited" : " that was made since")) {
        testing::check_in_child([&] {
          census::Boundary boundary;
          int fd = inherited ? wait.make() : -1;
          boundary = census::inherited();
          fd = inherited ? fd : wait.make();
          auto child = testing::start([&] { wait.wait(fd); });
          testing::wait_until_in(child, wait.syscall);
          auto found = rest(boundary);
          expect(found.certain != inherited, "stuck only inside: " + found.why_not);
          if (inherited) // the mechanism off: as if nothing had been inherited
            expect(rest({}).certain, rest({}).why_not);
          expect(!inherited || found.why_not.find(wait.why_not) != std::string::npos, found.why_not);
        });
      }
}

TEST_CASE("what may go on by no process's doing is never called endless", "[census]") {
  for (const auto &wait : open_waits())
    DYNAMIC_SECTION(wait.name) {
      testing::check_in_child([&] {
        auto boundary = census::inherited();
        auto child = testing::start(wait.forever);
        testing::wait_until_in(child, wait.syscall);
        auto found = rest(boundary);
        expect(!found.certain, "it is called stuck");
        expect(found.why_not.find(wait.why_not) != std::string::npos, found.why_not);
      });
    }
}

TEST_CASE("a tracer may wait for a process outside", "[census]") {
  testing::check_in_child([] {
    // It waits for a child that it has not: what it waits for is traced, or was moved elsewhere.
    auto child = testing::start([] {
      auto grandchild = testing::plant();
      ::waitpid(grandchild.pid(), nullptr, 0);
    });
    testing::wait_until_in(child, SYS_wait4);
    if (alarms_show())
      expect(rest({}).certain, "it waits for a child of its own: " + rest({}).why_not);
    census::Scope scope{.root = ::getpid()};
    auto members = census::walk_once(scope);
    std::erase_if(members, [&](const auto &member) { return member.parent == child.pid(); });
    auto found = census::at_rest(members, scope, {});
    expect(found.why_not.find("no child of it") != std::string::npos, "without the child: " + found.why_not);
  });
}

TEST_CASE("a lock that may be held outside is no lock of the dead", "[census]") {
  for (bool inherited : {true, false})
    testing::check_in_child([&] {
      int memory = ::memfd_create("lock", 0);
      expect(::ftruncate(memory, 4096) == 0, "ftruncate");
      auto boundary = inherited ? census::inherited() : census::Boundary();
      auto child = testing::start([&] {
        auto *word = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        ::syscall(SYS_futex, word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
      });
      testing::wait_until_in(child, SYS_futex);
      auto members = census::walk_once({.root = ::getpid()});
      std::vector<census::RemainingProcess> remaining = {
          census::examine(members.at(0), {.session = ::getsid(0), .boundary = &boundary}).value()};
      census::diagnose(remaining, nullptr, {});
      auto cause = remaining[0].diagnosis.at(0).cause;
      expect(cause == (inherited ? census::Cause::waits_for_lock : census::Cause::lock_of_the_dead),
             remaining[0].diagnosis.at(0).text);
      census::diagnose(remaining, nullptr, {.all_are_known = false});
      expect(remaining[0].diagnosis.at(0).cause == census::Cause::waits_for_lock, "where not all are known");
    });
}

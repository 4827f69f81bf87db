// What has come into other hands since the boundary was drawn, and descriptors that are not what they seem: each with
// its twin, which is stuck.
#include "harness/census/quiescence.hpp"
#include "harness/census/rest_test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <thread>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

const bool alarms_can_be_seen = ::access("/proc/timer_list", R_OK) == 0;

census::Rest rest_but_for(pid_t outsider) { return rest_below({.root = ::getpid(), .except = {outsider}}, {}); }

/// Something that two processes have, and one waits for.
struct Shared {
  const char *name;
  long syscall;
  std::function<std::function<void()>()> make; // gives what waits
};

void read_one(int fd) {
  std::uint64_t word = 0;
  os::read_exactly(fd, &word, sizeof word);
}

const std::vector<Shared> &all_shared() {
  static const std::vector<Shared> all = {
      {"a pipe", SYS_read,
       [] {
         int ends[2];
         expect(::pipe(ends) == 0, "pipe()");
         return [=] { read_one(ends[0]); };
       }},
      {"an eventfd", SYS_read,
       [] {
         int fd = ::eventfd(0, 0);
         return [=] { read_one(fd); };
       }},
      {"a unix socket", SYS_read,
       [] {
         int ends[2];
         expect(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair()");
         return [=] { read_one(ends[0]); };
       }},
      {"the other end of a unix socket that is polled", SYS_poll,
       [] {
         int ends[2];
         expect(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair()");
         return [=] {
           pollfd end{.fd = ends[1], .events = POLLIN, .revents = 0};
           ::poll(&end, 1, -1);
         };
       }},
      {"memory with a lock", SYS_futex,
       [] {
         auto *word = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
         return [=] { ::syscall(SYS_futex, word, FUTEX_WAIT, 0, nullptr, nullptr, 0); };
       }},
      {"memory with a lock, as a file that is not mapped", SYS_futex,
       [] {
         int fd = ::memfd_create("test", 0);
         expect(::ftruncate(fd, 4096) == 0, "ftruncate()");
         return [=] {
           auto *word = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
           ::syscall(SYS_futex, word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
         };
       }},
  };
  return all;
}

/// In a process with a thread that is in that call by then.
void beside_a_thread(const std::function<void()> &blocks, long syscall, const std::function<void()> &then) {
  std::thread(blocks).detach();
  wait_until(
      [&] {
        for (pid_t thread : os::read_threads(::getpid())) {
          if (thread == ::getpid()) // which reads just now
            continue;
          auto call = os::read_syscall(::getpid(), thread);
          if (call && !call->running && call->number == syscall)
            return true;
        }
        return false;
      },
      "the thread waits");
  then();
  pause_for_ever();
}

void check_not_stuck(const std::function<void()> &body, const std::string &why) {
  check_in_child([&] {
    auto child = start(body);
    wait_until_in(child, SYS_pause);
    auto rest = rest_but_for(0);
    expect(!rest.certain, "it is not called stuck");
    expect(rest.why_not.find(why) != std::string::npos, rest.why_not);
  });
}

void replace_with_null(int fd) {
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  expect(::dup2(null, fd) == fd, "dup2()");
}

} // namespace

TEST_CASE("what a process outside has come by as well may still happen", "[census]") {
  for (const auto &shared : all_shared())
    DYNAMIC_SECTION(shared.name) {
      if (!alarms_can_be_seen)
        SKIP("without /proc/timer_list nothing is ever called stuck");
      check_in_child([&] {
        auto waits = shared.make();
        auto outsider = start(pause_for_ever), waiter = start(waits);
        wait_until_in(outsider, SYS_pause);
        wait_until_in(waiter, shared.syscall);
        auto rest = rest_but_for(outsider.pid());
        expect(!rest.certain, "it is not called stuck");
        expect(rest.why_not.find(fmt::format("which pid {} outside has as well", outsider.pid())) != std::string::npos,
               rest.why_not);
        expect(!rest.held_outside.empty(), "what is held there is told");
        outsider.send(SIGKILL);
        os::reap(outsider);
        wait_until([] { return rest_but_for(0).certain; }, "it is stuck once the other process has gone");
      });
    }
}

TEST_CASE("a pipe whose other end no known process has is open outside", "[census]") {
  check_in_child([] {
    for (bool reads : {true, false}) {
      int ends[2];
      expect(::pipe(ends) == 0, "pipe()");
      auto outsider = start([&] {
        ::close(ends[reads ? 0 : 1]);
        pause_for_ever();
      });
      auto waiter = start([&] {
        ::close(ends[reads ? 1 : 0]);
        std::string much(1 << 17, 'x');
        reads ? read_one(ends[0]) : static_cast<void>(os::write_all(ends[1], much));
      });
      ::close(ends[0]);
      ::close(ends[1]);
      wait_until_in(waiter, reads ? SYS_read : SYS_write);
      auto rest = rest_but_for(outsider.pid());
      expect(!rest.certain, "it is not called stuck");
      expect(rest.why_not.find("open outside alone") != std::string::npos, rest.why_not);
      outsider.send(SIGKILL);
      os::reap(outsider);
      os::reap(waiter);
    }
  });
}

TEST_CASE("who traces a process outside may be told of it", "[census]") {
  if (!alarms_can_be_seen)
    SKIP("without /proc/timer_list nothing is ever called stuck");
  check_in_child([] {
    auto outsider = start(pause_for_ever);
    auto tracer = start([&] {
      expect(::ptrace(PTRACE_SEIZE, outsider.pid(), nullptr, nullptr) == 0, "ptrace()");
      auto child = plant();
      ::waitpid(child.pid(), nullptr, 0);
    });
    wait_until_in(tracer, SYS_wait4);
    wait_until([&] { return rest_but_for(outsider.pid()).why_not.find(" traces pid ") != std::string::npos; },
               "the tracer is told");
  });
}

TEST_CASE("a descriptor may not be what the wait began with", "[census]") {
  check_not_stuck(
      [] {
        static os::Pipe pipe = os::open_pipe();
        beside_a_thread([] { read_one(pipe.read_end.get()); }, SYS_read,
                        [] { replace_with_null(pipe.read_end.get()); });
      },
      "what its descriptor stood for before");
  check_not_stuck(
      [] {
        static os::Pipe pipe = os::open_pipe();
        static pollfd end{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
        beside_a_thread([] { ::poll(&end, 1, -1); }, SYS_poll, [] { end.fd = -1; });
      },
      "can't be told");
  check_not_stuck(
      [] {
        static os::Pipe pipe = os::open_pipe();
        beside_a_thread(
            [] {
              ::unshare(CLONE_FILES);
              int other[2];
              if (::pipe(other) == 0 && ::dup2(other[0], pipe.read_end.get()) >= 0)
                read_one(pipe.read_end.get());
            },
            SYS_read, [] {});
      },
      "a descriptor of its thread alone");
}

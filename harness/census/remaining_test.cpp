#include "harness/base/spelling.hpp"
#include "harness/census/remaining.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>

using namespace pidleak;
using census::Kind;
using testing::expect;
using testing::expect_equal;

namespace {

census::Member member_of(pid_t pid) {
  for (const auto &member : census::walk_once({.root = ::getpid()}))
    if (member.pid == pid)
      return member;
  throw std::runtime_error(fmt::format("the census misses {}", pid));
}

/// As if the calling process were the harness, and `subject` the subject's pid.
census::Surroundings around(pid_t subject) {
  return {.harness = ::getpid(), .subject = subject, .session = ::getsid(0), .helpers = {}, .cgroup_members = {}};
}

std::string kind_of(pid_t pid, const census::Surroundings &surroundings) {
  return spell(census::examine(member_of(pid), surroundings).value().kind);
}

/// A subject with one child, whose pid is told.
struct Family {
  pid_t worker = 0;
  os::ProcessRef subject;
};

Family plant_family(const std::function<void()> &worker_set_up = [] {}) {
  auto pipe = os::open_pipe();
  auto subject = testing::plant([&] {
    pid_t pid = testing::plant(worker_set_up).pid();
    os::write_all(pipe.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
  });
  pid_t pid = 0;
  os::read_exactly(pipe.read_end.get(), reinterpret_cast<char *>(&pid), sizeof pid);
  return {.worker = pid, .subject = std::move(subject)};
}

} // namespace

TEST_CASE("a worker below its subject is live, and an orphan once the subject has gone", "[census]") {
  testing::check_in_child([] {
    auto family = plant_family();
    auto surroundings = around(family.subject.pid());
    expect_equal(kind_of(family.worker, surroundings), "live", "the worker");
    expect_equal(kind_of(family.subject.pid(), surroundings), "live", "the subject itself is no orphan");
    family.subject.send(SIGKILL);
    os::reap(family.subject);
    expect_equal(kind_of(family.worker, surroundings), "orphan", "the worker whose parent has gone");
  });
}

TEST_CASE("zombies, stopped processes, those that left and helpers are told apart", "[census]") {
  testing::check_in_child([] {
    auto family = plant_family([] { ::setsid(); });
    auto surroundings = around(family.subject.pid());
    expect_equal(kind_of(family.worker, surroundings), "escaped", "one in a session of its own");

    auto zombie = testing::start([] {});
    os::wait_for_any_exit({zombie.pidfd()}, std::chrono::seconds(10));
    expect_equal(kind_of(zombie.pid(), surroundings), "zombie", "an exited child");

    auto held = os::ProcessRef::open(family.worker).value();
    held.send(SIGSTOP);
    testing::wait_until_state(held, 'T');
    expect_equal(kind_of(family.worker, surroundings), "stopped", "a stopped one, although it has left");

    surroundings.helpers[family.worker] = "tracker";
    auto helper = census::examine(member_of(family.worker), surroundings).value();
    expect_equal(spell(helper.kind), "helper", "a declared one, whatever its state");
    expect_equal(helper.role, "tracker", "its role");
  });
}

TEST_CASE("who is not in the replay's cgroup any more has escaped", "[census]") {
  testing::check_in_child([] {
    auto family = plant_family();
    auto surroundings = around(family.subject.pid());
    surroundings.cgroup_members = {::getpid(), family.subject.pid(), family.worker};
    expect_equal(kind_of(family.worker, surroundings), "live", "a member");
    surroundings.cgroup_members->pop_back();
    expect_equal(kind_of(family.worker, surroundings), "escaped", "no member");
  });
}

TEST_CASE("what is said of a remaining process is what the kernel says", "[census]") {
  testing::check_in_child([] {
    auto pipe = os::open_pipe();
    auto child = testing::start([&] {
      ::prctl(PR_SET_NAME, ") (\xff\n");
      os::ignore_sigterm();
      pipe.write_end.reset();
      char byte = 0;
      os::read_exactly(pipe.read_end.get(), &byte, 1);
    });
    testing::wait_until_in(child, SYS_read);
    auto process = census::examine(member_of(child.pid()), around(0)).value();
    expect_equal(process.comm, ") (\xff\n", "comm");
    expect(!process.command_line.empty(), "there is a command line");
    expect_equal(process.parent, ::getpid(), "parent");
    expect(process.status && process.status->ignored.contains(SIGTERM), "SIGTERM is ignored");
    expect_equal(process.waits.size(), 1U, "threads");
    expect_equal(process.waits[0].syscall, "read", "it waits in");
    expect_equal(process.waits[0].arguments.at(0), static_cast<std::uint64_t>(pipe.read_end.get()), "its descriptor");
    auto end = std::find_if(process.pipes.begin(), process.pipes.end(),
                            [&](const auto &open) { return open.fd == pipe.read_end.get(); });
    expect(end != process.pipes.end() && end->reads && !end->writes, "the pipe's reading end");
    expect(std::none_of(process.pipes.begin(), process.pipes.end(),
                        [&](const auto &open) { return open.target == end->target && open.writes; }),
           "and no writing end");
  });
}

TEST_CASE("of a process whose leader has exited its other threads tell all", "[census]") {
  testing::check_in_child([] {
    auto pipe = os::open_pipe();
    auto child = testing::start([&] {
      std::thread([&] {
        char byte;
        os::read_exactly(pipe.read_end.get(), &byte, 1);
      }).detach();
      ::syscall(SYS_exit, 0); // this thread alone
    });
    testing::wait_until_state(child, 'Z');
    testing::wait_until(
        [&] {
          auto process = census::examine(member_of(child.pid()), around(child.pid())).value();
          return process.waits.size() == 1 && process.waits[0].object.starts_with("pipe:[");
        },
        "its thread waits for the pipe");
    auto process = census::examine(member_of(child.pid()), around(child.pid())).value();
    expect(!process.command_line.empty() && !process.pipes.empty() && process.memory_seen, "what is the process's own");
    expect(process.attributes->executable == os::read_executable(::getpid()), "its program");
  });
}

TEST_CASE("of a zombie there is nothing to say but who it is", "[census]") {
  testing::check_in_child([] {
    auto child = testing::start([] { ::prctl(PR_SET_NAME, "gone"); });
    os::wait_for_any_exit({child.pidfd()}, std::chrono::seconds(10));
    auto process = census::examine(member_of(child.pid()), around(0)).value();
    expect_equal(process.comm, "gone", "comm");
    expect(!process.status && process.waits.empty() && process.pipes.empty(), "no signals, waits or pipes");
  });
}

TEST_CASE("a process that has gone, or whose pid is another's now, is not described", "[census]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    auto member = member_of(child.pid());
    auto earlier = member;
    --earlier.start_ticks; // what a reused pid looks like
    expect(!census::examine(earlier, around(0)), "another process");
    child.send(SIGKILL);
    os::reap(child);
    expect(!census::examine(member, around(0)), "no process");
  });
}

TEST_CASE("a pidfd tells the pid outside the sandbox, as long as there is a process", "[census]") {
  testing::check_in_child([] {
    auto proc = os::UniqueFd::adopt(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto child = testing::plant();
    expect_equal(census::pid_seen_from(proc.get(), child.pidfd()).value_or(0), child.pid(), "the pid");
    child.send(SIGKILL);
    os::reap(child);
    expect(!census::pid_seen_from(proc.get(), child.pidfd()), "nothing of one that was reaped");
    expect(!census::pid_seen_from(proc.get(), 9999), "nothing of no pidfd");
  });
}

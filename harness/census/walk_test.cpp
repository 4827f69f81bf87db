// The census against everything that has been tried to get out of sight.
#include "harness/census/walk.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fmt/ranges.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <thread>

using namespace pidleak;
using testing::expect;
using testing::expect_equal;

namespace {

census::Scope below(pid_t root) { return {.root = root}; }

std::vector<pid_t> pids(const std::vector<census::Member> &members) {
  std::vector<pid_t> found;
  for (const auto &member : members)
    found.push_back(member.pid);
  return found;
}

bool has(const std::vector<census::Member> &members, pid_t pid) {
  return std::any_of(members.begin(), members.end(), [&](const auto &member) { return member.pid == pid; });
}

census::ProcessState state_of(pid_t pid) {
  for (const auto &member : census::walk_once(below(::getpid())))
    if (member.pid == pid)
      return member.state;
  throw std::runtime_error(fmt::format("the census misses {}", pid));
}

/// Plants a grandchild whose parent then exits, as a daemon does. Returns its pid, and who started it.
struct Daemon {
  pid_t pid = 0;
  os::ProcessRef subject;
};

/// A subject that lives on and has daemonized a process.
Daemon plant_daemon(const std::function<void()> &disguise = [] {}) {
  auto pipe = os::open_pipe();
  auto subject = testing::plant([&] {
    auto between = testing::start([&] {
      ::setsid();
      auto daemon = testing::plant(disguise);
      pid_t pid = daemon.pid();
      os::write_all(pipe.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    });
    os::reap(between);
  });
  pid_t pid = 0;
  os::read_exactly(pipe.read_end.get(), reinterpret_cast<char *>(&pid), sizeof pid);
  return {.pid = pid, .subject = std::move(subject)};
}

} // namespace

TEST_CASE("a daemon is found from the harness down, and lost from the subject down", "[census]") {
  testing::check_in_child([] {
    auto daemon = plant_daemon();
    auto found = census::walk_once(below(::getpid()));
    expect_equal(pids(found).size(), 2U, "subject and daemon");
    expect(has(found, daemon.pid), "the daemon is seen from the harness");
    expect(!has(census::walk_once(below(daemon.subject.pid())), daemon.pid), "and not from the subject, as ps would");
  });
}

TEST_CASE("with the detector off, direct children alone, grandchildren are missed", "[census]") {
  testing::check_in_child([] {
    pid_t grandchild = 0;
    auto pipe = os::open_pipe();
    auto child = testing::plant([&] {
      auto planted = testing::plant();
      pid_t pid = planted.pid();
      os::write_all(pipe.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    });
    os::read_exactly(pipe.read_end.get(), reinterpret_cast<char *>(&grandchild), sizeof grandchild);
    expect(has(census::walk_once(below(::getpid())), grandchild), "it is seen");
    expect_equal(os::read_children(::getpid()), std::vector<pid_t>{child.pid()}, "the direct children");
  });
}

TEST_CASE("names, sessions, descriptors and the environment hide no process", "[census]") {
  testing::check_in_child([] {
    auto renamed = testing::plant([] { ::prctl(PR_SET_NAME, ") (\nx) Z 1"); });
    auto daemon = plant_daemon([] {
      ::setsid();
      ::clearenv();
      ::prctl(PR_SET_NAME, "");
      ::close(0);
      ::close(1);
    });
    auto found = census::walk_once(below(::getpid()));
    expect(has(found, renamed.pid()), "the one with a strange name");
    expect(state_of(renamed.pid()) != census::ProcessState::zombie, "whose name is not taken for its state");
    expect(has(found, daemon.pid), "and the one that gave up everything");
  });
}

TEST_CASE("zombies and stopped processes are members", "[census]") {
  testing::check_in_child([] {
    auto zombie = testing::start([] {});
    os::wait_for_any_exit({zombie.pidfd()}, std::chrono::seconds(10));
    auto stopped = testing::plant();
    stopped.send(SIGSTOP);
    testing::wait_until_state(stopped, 'T');
    expect(state_of(zombie.pid()) == census::ProcessState::zombie, "a zombie");
    expect(state_of(stopped.pid()) == census::ProcessState::stopped, "a stopped process");
    os::reap(zombie);
    expect(!has(census::walk_once(below(::getpid())), zombie.pid()), "one that was waited for is none");
  });
}

TEST_CASE("a process whose leader has exited lives as long as another thread does", "[census]") {
  testing::check_in_child([] {
    auto child = testing::start([] {
      std::thread([] { testing::pause_for_ever(); }).detach();
      ::syscall(SYS_exit, 0); // this thread alone
    });
    testing::wait_until_state(child, 'Z');
    expect(!child.has_exited(), "it is alive");
    expect(state_of(child.pid()) != census::ProcessState::zombie, "and the census says so");
    child.send(SIGKILL);
    os::wait_for_any_exit({child.pidfd()}, std::chrono::seconds(10));
    expect(state_of(child.pid()) == census::ProcessState::zombie, "until it is a zombie indeed");
  });
}

TEST_CASE("children of threads, of a nested subreaper and of CLONE_PARENT are found", "[census]") {
  testing::check_in_child([] {
    std::optional<os::ProcessRef> of_thread;
    std::thread thread([&] { // its children are listed under its own task; it must live, or they move to another's
      of_thread = testing::plant();
    });
    thread.join();
    auto subject = testing::plant([] {
      os::become_subreaper();
      plant_daemon(); // adopted there
    });
    auto pipe = os::open_pipe();
    auto between = testing::plant([&] {
      auto pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)); // a sibling
      if (pid == 0)
        testing::pause_for_ever();
      os::write_all(pipe.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    });
    pid_t sibling = 0;
    os::read_exactly(pipe.read_end.get(), reinterpret_cast<char *>(&sibling), sizeof sibling);
    auto found = census::walk_once(below(::getpid()));
    expect(has(found, of_thread->pid()), "a thread's child");
    expect(has(found, sibling), "a sibling by CLONE_PARENT");
    expect_equal(census::walk_once(below(subject.pid())).size(), 2U, "a subreaper's own daemon and who started it");
    expect_equal(found.size(), 6U, "all of them");
  });
}

TEST_CASE("a child of a member's thread is found, while that thread lives and afterwards", "[census]") {
  testing::check_in_child([] {
    auto end_thread = os::open_pipe();
    auto member = testing::plant([&] {
      auto ready = os::open_pipe();
      std::thread([&end_thread, ready = ready.write_end.get()] { // the child is listed under this thread's task alone
        testing::plant();
        os::write_all(ready, ".");
        char byte = 0;
        os::read_exactly(end_thread.read_end.get(), &byte, 1);
      })
          .detach();
      char byte = 0;
      os::read_exactly(ready.read_end.get(), &byte, 1);
    });
    auto threads = [&] { return os::read_stat(member.pid())->threads; };
    expect_equal(threads(), 2, "threads");
    expect_equal(census::walk_once(below(::getpid())).size(), 2U, "the member and its thread's child");
    os::write_all(end_thread.write_end.get(), ".");
    testing::wait_until([&] { return threads() == 1; }, "the thread ends");
    expect_equal(census::walk_once(below(::getpid())).size(), 2U, "the member and the child it has inherited");
  });
}

TEST_CASE("a process in a PID namespace of its own is found", "[census]") {
  testing::check_in_child([] {
    auto child = testing::plant([] {
      if (::unshare(::geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) == 0)
        testing::plant();
    });
    auto found = census::walk_once(below(::getpid()));
    expect(has(found, child.pid()), "who made it");
    if (os::read_children(child.pid()).empty()) // no rights to one here: nothing to see
      return;
    expect_equal(found.size(), 2U, "and its init");
  });
}

TEST_CASE("the list of a PID namespace has what the walk down has, and not those that come from outside", "[census]") {
  testing::check_in_child([] {
    try {
      os::unshare_for_init(os::namespace_kind_of_user());
    } catch (const os::SyscallError &) {
      return; // no rights to one here
    }
    auto ready = os::open_pipe(), outsider_is_there = os::open_pipe();
    auto init = testing::start([&] {
      os::mount_private_filesystems();
      auto daemon = plant_daemon();
      auto zombie = testing::start([] {});
      os::wait_for_any_exit({zombie.pidfd()}, std::chrono::seconds(10));
      auto looks = testing::plant([] { testing::plant(); });
      os::write_all(ready.write_end.get(), ".");
      char byte = 0;
      os::read_exactly(outsider_is_there.read_end.get(), &byte, 1);
      auto down = below(1), list = below(1);
      list.proc_lists_all = true;
      auto walk = census::walk(list, Deadline::after(std::chrono::seconds(10)));
      expect(walk.complete, "the list is complete");
      expect_equal(pids(walk.members), pids(census::walk_once(down)), "what both find");
      expect_equal(walk.members.size(), 5U, "subject, daemon, zombie, and two");
      expect(os::read_pids().size() == 7, "there are the init and one from outside besides");
      list.except = down.except = {looks.pid()};
      expect_equal(pids(census::walk_once(list)), pids(census::walk_once(down)), "and without one of them");
      expect_equal(census::walk_once(list).size(), 3U, "nor who is below it");
    });
    char byte = 0;
    os::read_exactly(ready.read_end.get(), &byte, 1);
    auto outsider = testing::plant(); // as `nsenter` starts one: its parent is not in the namespace
    os::write_all(outsider_is_there.write_end.get(), ".");
    os::reap(outsider); // the kernel ends it with the init, whose own end waits for that
    expect(os::reap(init) == os::WaitStatus{}, "the init ended well");
  });
}

TEST_CASE("while nothing forks, one pass over what lives is enough", "[census]") {
  testing::check_in_child([] {
    auto before = os::newest_pid();
    if (!before)
      return; // /proc/loadavg is not the kernel's
    auto child = testing::plant();
    auto after = os::newest_pid();
    expect(after && *after != *before, "a fork shows");
    auto in_namespace = testing::plant([] {
      if (::unshare(::geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) == 0)
        testing::plant();
    });
    for (pid_t inner : os::read_children(in_namespace.pid())) // no rights to one here: there is none
      expect(os::newest_pid().value_or(0) >= inner, "and one in a namespace below");
  });
}

TEST_CASE("a walk beside forks is complete only when two passes agree", "[census]") {
  testing::check_in_child([] {
    constexpr int generations = 400; // a bounded relay: each starts the next and exits
    std::function<void(int)> run = [&](int left) {
      if (left == 0)
        testing::pause_for_ever();
      testing::start([&] { run(left - 1); });
      ::_exit(0);
    };
    testing::start([&] { run(generations); });
    auto deadline = Deadline::after(std::chrono::seconds(20));
    for (int complete = 0; complete < 3;) {
      expect(!deadline.passed(), "the relay comes to its end");
      os::reap_exited_children();
      auto walk = census::walk(below(::getpid()), Deadline::after(milliseconds(100)));
      expect(!walk.members.empty(), "a process is always there");
      if (walk.complete && walk.members.size() == 1 && state_of(walk.members[0].pid) != census::ProcessState::zombie)
        ++complete;
    }
  });
}

TEST_CASE("a walk without time says that it is not complete rather than wait", "[census]") {
  testing::check_in_child([] {
    testing::plant();
    auto walk = census::walk(below(::getpid()), Deadline::after(milliseconds(0)));
    expect_equal(walk.members.size(), 1U, "members");
    expect(walk.complete, "two passes are made all the same, and agree");
  });
}

TEST_CASE("a walk beside a relay ends with its deadline, whatever it has seen", "[census]") {
  testing::check_in_child([] {
    std::function<void(int)> run = [&](int left) {
      if (left > 0)
        testing::start([&] { run(left - 1); });
      ::_exit(0);
    };
    testing::start([&] { run(3000); });
    bool gave_up = false;
    while (!gave_up && !os::reap_exited_children())
      gave_up = !census::walk(below(::getpid()), Deadline::after(milliseconds(0))).complete;
    expect(gave_up, "it has said once that it is not complete");
  });
}

TEST_CASE("two passes between which one has died do not agree", "[census]") {
  using census::ProcessState;
  const census::Member lives{.pid = 3, .start_ticks = 1, .state = ProcessState::running};
  auto sleeps = lives, has_died = lives, is_another = lives;
  sleeps.state = ProcessState::sleeping;
  has_died.state = ProcessState::zombie;
  is_another.start_ticks = 2;
  CHECK(census::agree({lives}, {sleeps}));
  CHECK_FALSE(census::agree({lives}, {has_died}));
  CHECK_FALSE(census::agree({lives}, {is_another}));
  CHECK_FALSE(census::agree({lives}, {}));
}

TEST_CASE("a walk of what this user may not see is not complete", "[census]") {
  testing::check_in_child([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, "hidepid=2") != 0)
      return; // another user, or no such namespace
    auto hidden = testing::plant();
    constexpr uid_t nobody = 65534;
    expect(::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
               ::setresuid(nobody, nobody, nobody) == 0,
           "this process becomes another user's");
    auto walk = census::walk(below(::getpid()), Deadline::after(milliseconds(0)));
    expect_equal(walk.hidden, std::vector<pid_t>{hidden.pid()}, "what is hidden");
    expect(!walk.complete, "not all was seen");
  });
}

TEST_CASE("a walk from several finds them and those below, each once, and none that is another by now", "[census]") {
  testing::check_in_child([] {
    auto one = testing::plant([] { testing::plant(); }), other = testing::plant();
    auto all = census::walk_once(below(::getpid()));
    expect_equal(all.size(), 3U, "members");
    expect_equal(pids(census::walk_from(all)), pids(all), "those below are known already");
    auto stat = os::read_stat(one.pid()).value();
    census::Member root{.pid = one.pid(), .start_ticks = stat.start_ticks};
    auto found = census::walk_from({root, root});
    expect_equal(found.size(), 2U, "it, and the one below");
    expect(std::all_of(found.begin(), found.end(), [&](const auto &member) { return member.pid != other.pid(); }),
           "no process beside it");
    expect_equal(found.front().comm, stat.comm, "name");
    root.start_ticks += 1;
    expect(census::walk_from({root}).empty(), "another with its number");
  });
}

TEST_CASE("processes of other parents are not members", "[census]") {
  testing::check_in_child([] {
    auto mine = testing::plant();
    expect_equal(pids(census::walk_once(below(::getpid()))), std::vector<pid_t>{mine.pid()}, "the members");
    expect(census::walk_once(below(mine.pid())).empty(), "a process without children has no members");
    expect(census::walk_once(below(4194304)).empty(), "nor has a pid that no process has");
  });
}

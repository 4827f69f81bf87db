// Is an answer of /proc an answer?
#include "harness/os/advice.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/test_support.hpp"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

using namespace pidleak;
using os::Alarms;
using testing::expect;

TEST_CASE("timers are an answer only if they are there and named", "[os]") {
  const std::string head = "Timer List Version: v0.10\nHRTIMER_MAX_CLOCK_BASES: 8\nnow at 1 nsecs\n\ncpu: 0\n",
                    tick = " #0: <00000000af5c1fbf>, tick_nohz_handler, S:01\n",
                    alarm = " #1: <00000000b1ccb43d>, it_real_fn, S:01\n",
                    numbers = " #0: <00000000af5c1fbf>, 0xffffffff8113f2a0, S:01\n";
  CHECK(os::parse_timer_list(head + tick) == Alarms::none);
  CHECK(os::parse_timer_list(head + tick + alarm) == Alarms::some);
  CHECK(os::parse_timer_list(head + alarm) == Alarms::some);
  CHECK(os::parse_timer_list("") == Alarms::not_shown);             // masked by /dev/null
  CHECK(os::parse_timer_list(head) == Alarms::not_shown);           // no timer: some there always is
  CHECK(os::parse_timer_list(head + numbers) == Alarms::not_shown); // no CONFIG_KALLSYMS
  CHECK(os::parse_timer_list(tick + alarm) == Alarms::not_shown);   // another file
}

TEST_CASE("a process that can't see its children says why, and one that can does not", "[os]") {
  testing::check_in_child([] { expect(os::why_blind().empty(), os::why_blind()); });
  if (::geteuid() != 0)
    SKIP("namespaces are for root");
  testing::check_in_child([] {
    expect(::unshare(CLONE_NEWPID) == 0, "unshare");
    auto inner = testing::start([] {
      expect(os::why_blind().find("another PID namespace") != std::string::npos, "it says: " + os::why_blind());
    });
    expect(os::reap(inner) == os::WaitStatus{}, "in a PID namespace with the /proc of another");
  });
  testing::check_in_child([] {
    expect(::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0,
           "an empty /proc");
    expect(os::why_blind().find("/proc/self can't be read") != std::string::npos, "it says: " + os::why_blind());
  });
}

TEST_CASE("every source is tried, and on this machine the census has what it needs", "[os]") {
  testing::check_in_child([] {
    auto sources = os::try_sources();
    expect(sources.size() >= 10, "all are named");
    for (const auto &source : sources)
      expect(!source.without_it.empty(), source.name + " has a weight");
    for (std::size_t i = 0; i < 3; ++i)
      expect(sources[i].lacks.empty(), sources[i].name + ": " + sources[i].lacks);
    expect(os::reap_exited_children(), "the process that they were tried on is gone");
  });
}

TEST_CASE("what a restriction takes away is told with what gives it back", "[os]") {
  if (::geteuid() != 0)
    SKIP("the restrictions are set by root");
  auto lacks = [](const std::string &name) {
    for (const auto &source : os::try_sources())
      if (source.name == name)
        return source.lacks;
    return "there is no source of that name: " + name;
  };
  auto expect_words = [](const std::string &text, const std::string &words) {
    expect(text.find(words) != std::string::npos, "it says: " + text);
  };
  auto become_another_user = [] { // from group 0 hidepid hides nothing; and who was root is closed to ptrace
    expect(::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0 &&
               ::prctl(PR_SET_DUMPABLE, 1) == 0,
           "another user");
  };
  testing::check_in_child([&] {
    expect(::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
           "mounts of its own");
    expect(lacks("other users' processes").empty(), "nothing is hidden from root");
    expect(::mount("proc", "/proc", "proc", 0, "hidepid=2") == 0, "another /proc");
    become_another_user();
    expect_words(lacks("other users' processes"), "`mount -o remount,hidepid=0 /proc`");
  });
  testing::check_in_child([&] {
    expect(::unshare(CLONE_NEWUSER) == 0, "a user namespace");
    os::write_file("/proc/self/uid_map", "0 0 1");
    os::write_file("/proc/self/setgroups", "deny");
    os::write_file("/proc/self/gid_map", "0 0 1");
    using os::NamespaceKind;
    expect(os::why_no_namespace(NamespaceKind::with_user_namespace).empty(), "there may be one in it");
    os::write_file("/proc/sys/user/max_user_namespaces", "0");
    expect_words(os::why_no_namespace(NamespaceKind::with_user_namespace),
                 "user.max_user_namespaces is 0: as root, `sysctl user.max_user_namespaces=1000` allows it");
  });
  testing::check_in_child([&] {
    become_another_user();
    expect_words(os::why_no_namespace(os::NamespaceKind::privileged), "It takes root (CAP_SYS_ADMIN)");
    auto paranoid = os::read_sysctl("kernel.perf_event_paranoid");
    if (!paranoid.empty() && paranoid > "2")
      expect_words(lacks("forks and execs"), "as root, `sysctl kernel.perf_event_paranoid=2` allows it");
  });
}

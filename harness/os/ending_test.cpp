// Ending: children and descendants alone, whatever is short.
#include "harness/os/test_support.hpp"

#include <sys/resource.h>

using namespace pidleak;
using testing::expect;

TEST_CASE("only a child of its own is ended, whatever a list says", "[os]") {
  testing::check_in_child([] {
    auto up = os::open_pipe();
    auto child = testing::plant([&] {
      auto grandchild = testing::plant();
      pid_t pid = grandchild.pid();
      os::write_all(up.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    });
    pid_t pid = 0;
    expect(os::read_exactly(up.read_end.get(), &pid, sizeof pid), "its pid");
    auto grandchild = os::ProcessRef::open(pid).value(), self = os::ProcessRef::open(::getpid()).value();
    expect(os::is_child(child.pidfd()) == std::optional(true), "a child");
    expect(os::is_child(grandchild.pidfd()) == std::optional(false), "no child, but below it");
    expect(os::is_child(self.pidfd()) == std::optional(false), "itself");
    expect(os::is_descendant(grandchild) && os::is_descendant(child), "descendants");
    expect(!os::is_descendant(self) && !os::is_descendant(os::ProcessRef::open(::getppid()).value()), "no descendants");
  });
}

TEST_CASE("what is below a spared process is ended, and itself is not", "[os]") {
  testing::check_in_child([] {
    auto up = os::open_pipe();
    auto spared = testing::plant([&] {
      pid_t pid = testing::plant().pid();
      os::write_all(up.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
    });
    pid_t pid = 0;
    expect(os::read_exactly(up.read_end.get(), &pid, sizeof pid), "its pid");
    auto below = os::ProcessRef::open(pid).value();
    auto ending = os::end_all_children(Deadline::after(std::chrono::seconds(10)), {spared.pid()});
    expect(ending.all_ended && ending.of_others.empty(), "all that may not stay has ended");
    expect(below.has_exited() && !spared.has_exited(), "the child below, and not the spared one");
  });
}

TEST_CASE("children are ended with hardly any descriptors", "[os]") {
  testing::check_in_child([] {
    for (int i = 0; i < 40; ++i)
      testing::start(testing::pause_for_ever);
    rlimit few{.rlim_cur = static_cast<rlim_t>(testing::count_open_fds()) + 2, .rlim_max = 1024};
    expect(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
    expect(os::end_all_children(Deadline::after(std::chrono::seconds(20))).all_ended, "all ended");
  });
}

TEST_CASE("a child of another user can't be ended: it is named, and not waited for", "[os]") {
  if (::geteuid() != 0)
    SKIP("only root can have children of several users");
  testing::check_in_child([] {
    auto others = testing::plant(); // root's
    auto own = testing::plant([] { expect(::setresuid(65534, 65534, 65534) == 0, "setresuid"); });
    expect(::setresuid(65534, 65534, 0) == 0, "setresuid");
    auto ending = os::end_all_children(Deadline::after(std::chrono::seconds(600)));
    expect(!ending.all_ended && ending.of_others == std::vector{others.pid()}, "root's is left");
    expect(own.has_exited(), "its own has ended");
    expect(::setresuid(0, 0, 0) == 0, "setresuid");
  });
}

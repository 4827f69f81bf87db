// Ending: children and descendants alone, whatever is short.
#include "harness/os/ending.hpp"
#include "harness/os/test_support.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

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

namespace {

constexpr std::chrono::seconds far{60};

Deadline end_of_all() { return Deadline::after(2 * far); }

/// A child that has come to rest with this for SIGTERM.
os::ProcessRef with_sigterm(void (*handler)(int)) {
  return testing::plant([=] { expect(std::signal(SIGTERM, handler) != SIG_ERR, "signal"); });
}

} // namespace

TEST_CASE("what remains is asked first: it ends by SIGTERM, and what catches that by SIGKILL", "[os]") {
  testing::check_in_child([] {
    auto polite = testing::plant(), deaf = with_sigterm([](int) {});
    auto ending = os::end_all_children(end_of_all(), {}, milliseconds(2000));
    expect(ending.all_ended && ending.asked, "all ended");
    expect(ending.by_sigterm == std::vector{polite.pid()}, "who has left");
    expect(ending.by_sigkill == std::vector{deaf.pid()}, "who has not");
  });
  testing::check_in_child([] { // the twin: nothing is asked
    auto polite = testing::plant();
    auto ending = os::end_all_children(end_of_all());
    expect(ending.all_ended && !ending.asked && ending.by_sigterm.empty(), "all ended");
    expect(ending.by_sigkill == std::vector{polite.pid()}, "by SIGKILL");
  });
}

TEST_CASE("who ignores SIGTERM is not waited for, and who takes it by sigwait is", "[os]") {
  testing::check_in_child([] {
    auto ignores = with_sigterm(SIG_IGN);
    auto since = Clock::now();
    auto ending = os::end_all_children(end_of_all(), {}, far);
    expect(ending.all_ended && ending.by_sigkill == std::vector{ignores.pid()}, "by SIGKILL");
    expect(Clock::now() - since < far, "it does not wait");
  });
  testing::check_in_child([] {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    expect(::sigprocmask(SIG_BLOCK, &term, nullptr) == 0, "sigprocmask");
    auto waits = testing::start([&] {
      int signal = 0;
      ::sigwait(&term, &signal);
    });
    auto ending = os::end_all_children(end_of_all(), {}, far);
    expect(ending.all_ended && ending.by_sigterm == std::vector{waits.pid()}, "by SIGTERM");
  });
}

TEST_CASE("what is below one that ignores SIGTERM, or waits for it, is asked as well", "[os]") {
  for (auto handler : {SIG_IGN, +[](int) {}})
    testing::check_in_child([=] {
      auto up = os::open_pipe();
      auto parent = testing::plant([&] {
        pid_t pid = testing::plant().pid();
        std::signal(SIGTERM, handler);
        os::write_all(up.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
      });
      pid_t below = 0;
      expect(os::read_exactly(up.read_end.get(), &below, sizeof below), "its pid");
      auto ending = os::end_all_children(end_of_all(), {}, milliseconds(3000));
      expect(ending.all_ended && ending.by_sigkill == std::vector{parent.pid()}, "it is ended");
      expect(ending.by_sigterm == std::vector{below}, "its child has been asked");
    });
}

TEST_CASE("a wait for those that were asked can be cut short", "[os]") {
  testing::check_in_child([] {
    auto deaf = with_sigterm([](int) {});
    auto since = Clock::now();
    auto ending = os::end_all_children(end_of_all(), {}, far, [&] { return Clock::now() - since > milliseconds(50); });
    expect(ending.all_ended && ending.by_sigkill == std::vector{deaf.pid()}, "by SIGKILL");
    expect(Clock::now() - since < far, "it does not wait");
  });
}

TEST_CASE("a stopped process ends by SIGTERM as well", "[os]") {
  testing::check_in_child([] {
    auto stopped = testing::plant();
    stopped.send(SIGSTOP);
    testing::wait_until([&] { return os::read_stat(stopped.pid())->state == 'T'; }, "it has stopped");
    auto ending = os::end_all_children(end_of_all(), {}, far);
    expect(ending.all_ended && ending.by_sigterm == std::vector{stopped.pid()}, "by SIGTERM");
  });
}

TEST_CASE("a supervisor is asked before what it would start anew", "[os]") {
  testing::check_in_child([] {
    auto up = os::open_pipe();
    auto supervisor = testing::start([&] {
      for (;;) {
        char started = 's';
        os::write_all(up.write_end.get(), {&started, 1});
        pid_t worker = ::fork();
        if (worker == 0)
          for (;;)
            ::pause();
        ::waitpid(worker, nullptr, 0);
      }
    });
    char started = 0;
    expect(os::read_exactly(up.read_end.get(), &started, 1), "the first worker is there");
    auto ending = os::end_all_children(end_of_all(), {}, far);
    expect(ending.all_ended && ending.by_sigkill.empty() && ending.by_sigterm.size() <= 2, "both by SIGTERM");
    os::set_nonblocking(up.read_end.get());
    char further = 0;
    expect(::read(up.read_end.get(), &further, 1) <= 0, "no second worker was started");
  });
}

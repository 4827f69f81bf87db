// What a guard finds in its own process: each with the leak, the clean twin, and where there is one the switch.
#include "harness/library/library_test_support.hpp"
#include "reports/document.hpp"
#include "reports/report.hpp"
#include "reports/schema_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

void wait_for_end(const os::ProcessRef &process) { os::wait_for_any_exit({process.pidfd()}, 20s); }

std::string settled_by(const Findings &findings) {
  return nlohmann::json::parse(findings.json)["reports"][0]["settled_by"].get<std::string>();
}

} // namespace

TEST_CASE("a child that was not waited for remains, and stays to be waited for", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    auto child = start([] { ::_exit(3); });
    wait_for_end(child);
    auto found = only(guard.check());
    expect_equal(found.pid, child.pid(), "pid");
    expect_equal(found.parent, ::getpid(), "parent");
    expect_equal(found.kind, "zombie", "kind");
    expect_equal(found.diagnosis.at(0).cause, "not-reaped", "cause");
    expect_part(found.diagnosis[0].text, "exited with 3");
    expect_equal(os::reap(child).value, 3, "status, after all");
    expect_clean(guard.check());
  });
}

TEST_CASE("a child that runs remains until it is ended, and so does its child", "[library]") {
  check_in_plain_child([] {
    Guard guard({.name = "of a test", .grace = never});
    auto child = plant([] { plant(); });
    auto findings = guard.check();
    expect_equal(findings.remaining.size(), 2U, "both");
    for (const auto &process : findings.remaining) {
      expect_equal(process.kind, "live", "kind");
      expect(!process.command_line.empty(), "its command line is known");
      expect_equal(process.parent, process.pid == child.pid() ? ::getpid() : child.pid(), "parent");
    }
    expect_part(findings.text, "of a test: 2 processes remain");
    expect(guard.end_remaining(), "they could be ended");
    expect_clean(guard.check());
    expect_no_child();
  });
}

TEST_CASE("a daemon that runs is found by a guard that adopts, and missed by one that does not", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    start_daemon(true);
    auto found = only(guard.check());
    expect_equal(found.parent, ::getpid(), "adopted");
    expect_equal(found.kind, "escaped", "kind");
    expect(guard.end_remaining(), "it could be ended");
  });
  check_in_plain_child([] {
    Guard guard({.grace = never, .adopt_orphans = false});
    start_daemon(true);
    auto findings = guard.check();
    expect_clean(findings);
    expect_part(findings.json, "adopts no orphans");
  });
}

TEST_CASE("a daemon that has ended is no leak, and leaves no zombie", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = ample});
    start_daemon(true, [] {});
    expect_clean(guard.check());
    expect_no_child();
  });
}

TEST_CASE("an ended orphan that was seen below its parent is no leak either, whatever its session", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    auto parent = plant([] { plant(); });
    expect_equal(guard.check().remaining.size(), 2U, "both are seen");
    auto child = os::ProcessRef::open(os::read_children(parent.pid()).at(0)).value();
    parent.send(SIGKILL);
    os::reap(parent);
    expect_equal(only(guard.check()).kind, "orphan", "kind");
    child.send(SIGKILL);
    wait_for_end(child);
    expect_clean(guard.check());
    expect_no_child();
  });
}

TEST_CASE("an ended child that may be an orphan is tolerated but for the strict, and that this is not known is said",
          "[library]") {
  auto spawn = [] {
    std::string program = "true";
    char *arguments[] = {program.data(), nullptr};
    pid_t pid = 0;
    expect_equal(::posix_spawnp(&pid, "true", nullptr, nullptr, arguments, environ), 0, "posix_spawn");
    wait_for_end(os::ProcessRef::open(pid).value());
  };
  check_in_plain_child([&] {
    Guard guard({.grace = never});
    spawn();
    auto findings = guard.check();
    expect_clean(findings);
    expect(findings.doubtful(), "there is doubt");
    expect_part(findings.tolerated.at(0).tolerated_because, "the kernel does not say");
    expect(guard.end_remaining(), "nothing is there that counts");
    expect_equal(os::read_children(::getpid()).size(), 1U, "it was left alone");
  });
  check_in_plain_child([&] {
    Guard guard({.grace = never, .strict = true});
    spawn();
    only(guard.check());
    expect(guard.end_remaining(), "it is reaped");
    expect_no_child();
  });
  check_in_plain_child([&] { // without adoption it is known
    Guard guard({.grace = never, .adopt_orphans = false});
    spawn();
    only(guard.check());
  });
  check_in_plain_child([&] { // and in another thread than the main one
    std::string failure;
    std::thread([&] {
      try {
        Guard guard({.grace = never});
        spawn();
        only(guard.check());
      } catch (const std::exception &e) {
        failure = e.what();
      }
    }).join();
    expect_equal(failure, "", "failure");
  });
}

TEST_CASE("an orphan of another program that has ended is no leak", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = ample});
    expect_equal(std::system("sleep 0.1 & sleep 0.2 & true"), 0, "system");
    expect_clean(guard.check());
  });
}

TEST_CASE("what a child forks in another PID namespace has numbers of its own, and explains no zombie here",
          "[library]") {
  if (::geteuid() != 0)
    SKIP("a PID namespace is for root");
  for (bool boxed : {false, true})
    check_in_plain_child([=] {
      Guard guard({.grace = never, .strict = true});
      std::string program = "true";
      char *arguments[] = {program.data(), nullptr};
      pid_t zombie = 0;
      expect_equal(::posix_spawnp(&zombie, "true", nullptr, nullptr, arguments, environ), 0, "posix_spawnp");
      siginfo_t ended{};
      expect(::waitid(P_PID, static_cast<id_t>(zombie), &ended, WEXITED | WNOWAIT) == 0, "it has ended");
      auto box = start([&] {
        expect(!boxed || ::unshare(CLONE_NEWPID) == 0, "unshare");
        auto forking = start([&] {
          if (boxed) // the next that it forks has the zombie's number
            os::write_file("/proc/sys/kernel/ns_last_pid", std::to_string(zombie - 1));
          pid_t child = ::fork();
          if (child == 0)
            ::_exit(0);
          expect(!boxed || child == zombie, "it has the zombie's number");
          ::waitpid(child, nullptr, 0);
        });
        expect_equal(os::reap(forking).value, 0, "what forks in the namespace");
      });
      expect_equal(os::reap(box).value, 0, "what makes the namespace");
      auto findings = guard.check();
      expect_equal(findings.remaining.size(), 1U, "the zombie remains; " + findings.text);
      ::waitpid(zombie, nullptr, 0);
    });
}

TEST_CASE("a stopped child is one", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    auto child = plant();
    child.send(SIGSTOP);
    wait_until_state(child, 'T');
    auto found = only(guard.check());
    expect_equal(found.kind, "stopped", "kind");
    expect_equal(found.diagnosis.at(0).cause, "stopped", "cause");
    expect(guard.end_remaining(), "it could be ended");
    expect_no_child();
  });
}

TEST_CASE("children from before do not count, nor do theirs", "[library]") {
  for (bool same_tick : {true, false})
    check_in_plain_child([=] {
      auto go = os::open_pipe();
      auto zombie = start([] {});
      wait_for_end(zombie);
      auto before = start([&] {
        char byte = 0;
        os::read_exactly(go.read_end.get(), &byte, 1);
        plant();
        pause_for_ever();
      });
      if (!same_tick)
        wait_until(
            [&] {
              auto later = start([] {});
              os::reap(later);
              return later.start_ticks() > before.start_ticks();
            },
            "the clock has gone on");
      Guard guard({.grace = never}); // before, or in the same tick of the clock
      os::write_all(go.write_end.get(), ".");
      wait_until([&] { return !os::read_children(before.pid()).empty(); }, "it has a child");
      expect_clean(guard.check());
      auto after = plant();
      expect_equal(only(guard.check()).pid, after.pid(), "the one that counts");
      expect(guard.end_remaining(), "it could be ended");
      expect(!before.has_exited(), "the others were left alone");
      os::reap(zombie);
    });
}

TEST_CASE("a guard does nothing in a forked child, where another can be made", "[library]") {
  check_in_plain_child([] {
    std::optional<Guard> guard(GuardOptions{.grace = never});
    auto child = start([&] {
      expect(!guard->is_of_this_process(), "it is the parent's");
      try {
        guard->check();
        expect(false, "check throws");
      } catch (const std::logic_error &) {
      }
      guard.reset();
      expect(!os::is_subreaper(), "a fork is none"); // prctl(2)
      Guard own({.grace = never});
      expect(os::is_subreaper(), "its own guard makes it one");
      plant();
      only(own.check());
      expect(own.end_remaining(), "it could be ended");
    });
    expect_equal(os::reap(child).value, 0, "status of the child");
    expect(guard->is_of_this_process() && os::is_subreaper(), "here nothing has changed");
    expect_clean(guard->check());
  });
}

TEST_CASE("guards within one another: the inner one sees what came since, the last one ends the adopting",
          "[library]") {
  check_in_plain_child([] {
    std::optional<Guard> outer(GuardOptions{.grace = never});
    auto first = plant();
    {
      Guard inner({.grace = never});
      auto second = plant();
      auto found = only(inner.check());
      expect_equal(found.pid, second.pid(), "the second");
      expect(found.may_be_of.empty(), "they are not parallel");
      expect_equal(outer->check().remaining.size(), 2U, "both");
      expect(inner.end_remaining(), "it could be ended");
    }
    expect(os::is_subreaper(), "still");
    expect_equal(only(outer->check()).pid, first.pid(), "the first");
    Guard moved = std::move(*outer);
    outer.reset();
    expect(os::is_subreaper(), "still");
    expect(moved.end_remaining(), "it could be ended");
    { Guard last = std::move(moved); }
    expect(!os::is_subreaper(), "no more");
  });
  check_in_child([] {
    { Guard guard; }
    expect(os::is_subreaper(), "it was one before");
  });
}

TEST_CASE("fifty children: all are found, and all ended", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    auto fds = count_open_fds();
    std::vector<pid_t> planted;
    for (int i = 0; i < 50; ++i)
      planted.push_back(plant().pid());
    auto findings = guard.check();
    expect_equal(findings.remaining.size(), planted.size(), "number of what remains");
    expect(findings.complete, "the census is complete");
    expect(guard.end_remaining(), "they could be ended");
    expect_no_child();
    expect_equal(count_open_fds(), fds, "open descriptors");
  });
}

TEST_CASE("a chain of forks is never clean, and ends", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    auto first = start([] {
      for (int links = 0; links < 1000; ++links) // as many zombies at most: only the guard reaps them
        if (::fork() > 0)
          ::_exit(0);
      pause_for_ever();
    });
    os::reap(first);
    auto findings = guard.check();
    expect(!findings.clean(), "not clean; " + findings.text);
    expect(guard.end_remaining(), "it could be ended");
    expect_no_child();
  });
}

TEST_CASE("whatever has started it: posix_spawn, vfork, system, popen", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = never});
    for (bool leak : {true, false}) {
      pid_t spawned = 0;
      std::string shell = "sh", option = "-c", script = leak ? "exec sleep 600" : "exit 0";
      char *arguments[] = {shell.data(), option.data(), script.data(), nullptr};
      expect_equal(::posix_spawnp(&spawned, "sh", nullptr, nullptr, arguments, environ), 0, "posix_spawn");
      pid_t forked = ::vfork();
      if (forked == 0)
        ::execl("/bin/sleep", "sleep", leak ? "600" : "0", static_cast<char *>(nullptr));
      expect_equal(std::system(leak ? "sleep 600 &" : "sleep 0"), 0, "system");
      auto *stream = ::popen(leak ? "exec sleep 600" : "echo .", "r");
      if (leak) {
        auto findings = guard.check();
        expect_equal(findings.remaining.size(), 4U, findings.text);
        expect(guard.end_remaining(), "they could be ended");
      } else {
        ::waitpid(spawned, nullptr, 0);
        ::waitpid(forked, nullptr, 0);
      }
      ::pclose(stream);
      expect_clean(guard.check());
    }
  });
}

TEST_CASE("who leaves within the grace is no leak, nor who is waited for in it", "[library]") {
  check_in_plain_child([] {
    Guard guard({.grace = ample});
    start_daemon(true, [] { os::wait_for_any_exit({}, 300ms); });
    auto child = start([] {});
    std::thread waits([&] {
      os::wait_for_any_exit({}, 100ms);
      os::reap(child);
    });
    expect_clean(guard.check());
    waits.join();
  });
  check_in_plain_child([] {
    Guard guard({.grace = never});
    start_daemon(true, [] { os::wait_for_any_exit({}, 20s); });
    only(guard.check());
    expect(guard.end_remaining(), "it could be ended");
  });
}

TEST_CASE("no grace is needed where no process can move", "[library]") {
  if (::geteuid() != 0)
    SKIP("alarms are seen by root alone");
  check_in_plain_child([] {
    Guard guard({.grace = 5s});
    plant();
    auto findings = guard.check();
    only(findings);
    // Not if some other process of this machine has set an alarm; then the whole grace is taken.
    if (findings.json.find("has set an alarm") == std::string::npos)
      expect_equal(settled_by(findings), "quiescence", "settled by");
    expect(guard.end_remaining(), "it could be ended");
  });
  check_in_plain_child([] { // another thread may be about to do what is waited for
    Guard guard({.grace = 50ms});
    plant();
    std::atomic<bool> over = false;
    std::thread other([&] { wait_until([&] { return over.load(); }, "it is over"); });
    auto findings = guard.check();
    over = true;
    other.join();
    expect_equal(settled_by(findings), "deadline", "settled by");
  });
}

TEST_CASE("a suppressed process is tolerated, and left alone", "[library]") {
  TemporaryDirectory directory;
  auto file = directory / "known.json";
  std::ofstream(file) << R"({"suppressions": [{"comm": "known", "reason": "not ours"}]})";
  check_in_plain_child([&] {
    Guard guard({.grace = never, .suppressions = file});
    auto known = plant([] { ::prctl(PR_SET_NAME, "known"); });
    auto findings = guard.check();
    expect_clean(findings);
    expect_equal(findings.tolerated.at(0).tolerated_because, "not ours", "reason");
    auto other = plant();
    expect_equal(only(guard.check()).pid, other.pid(), "the other");
    expect(guard.end_remaining(), "it could be ended");
    expect(!known.has_exited() && other.has_exited(), "the other alone");
  });
  CHECK_THROWS_AS(Guard({.suppressions = directory / "none.json"}), std::system_error);
  std::ofstream(file) << "{";
  CHECK_THROWS_AS(Guard({.suppressions = file}), std::invalid_argument);
}

TEST_CASE("the report is one of the schema's, clean or not", "[library]") {
  check_in_plain_child([] {
    Guard guard({.name = "schema", .grace = never});
    auto clean = guard.check();
    expect_equal(errors_in(nlohmann::ordered_json::parse(clean.json)), "", "what the schema finds");
    wait_for_end(start([] {}));
    plant([] { ::prctl(PR_SET_NAME, "\xff\"\n"); });
    auto leaked = guard.check();
    expect_equal(errors_in(nlohmann::ordered_json::parse(leaked.json)), "", "what the schema finds");
    auto report = reports::from_document(leaked.json).at(0);
    expect(report.verdict == reports::Verdict::leaked && report.live == 1 && report.zombies == 1, leaked.json);
    expect_equal(report.scenario + " " + report.pool, "guard schema", "scenario and pool");
  });
}

TEST_CASE("without the /proc that it needs there is no guard, and it says why", "[library]") {
  if (::geteuid() != 0)
    SKIP("mounting is for root");
  auto refuses = [](const char *why) {
    try {
      Guard guard;
      expect(false, "it throws");
    } catch (const std::system_error &e) {
      expect_part(e.what(), why);
    }
    expect(!os::is_subreaper(), "nothing has changed");
  };
  check_in_plain_child([&] {
    expect(::unshare(CLONE_NEWPID) == 0, "unshare");
    expect_equal(os::reap(start([&] { refuses("/proc belongs to another PID namespace"); })).value, 0,
                 "in a PID namespace with another's /proc");
  });
  check_in_plain_child([&] {
    expect_equal(os::reap(start([&] {
                   expect(::unshare(CLONE_NEWNS) == 0 &&
                              ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                              ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0,
                          "an empty /proc");
                   refuses("/proc/self can't be read");
                 })).value,
                 0, "without /proc");
  });
}

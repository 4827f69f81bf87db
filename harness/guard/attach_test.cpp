// A service that runs already is watched, and left alone.
#include "harness/guard/guard_test_support.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/scratch_cgroup.hpp"

#include <sys/wait.h>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// A planted service that goes on as it is told to: by one byte a time.
class Service {
public:
  using Step = std::function<void(char)>;

  /// `idle`: called every 10 ms while it is told nothing, at most 600 times.
  explicit Service(
      const Step &step, const std::function<void()> &idle = [] {})
      : told_(os::open_pipe()), done_(os::open_pipe()), process_(start([&] { serve(step, idle); })) {
    told_.read_end.reset();
    done_.write_end.reset();
  }

  const os::ProcessRef &process() const { return process_; }

  /// Returns once the step has been done.
  void tell(char what) {
    os::write_all(told_.write_end.get(), std::string_view(&what, 1));
    char done = 0;
    expect(os::read_exactly(done_.read_end.get(), &done, 1), "the service does as it is told");
  }
  /// It exits, and is reaped.
  void end() {
    told_.write_end.reset();
    expect(os::reap(process_, Deadline::after(std::chrono::seconds(10))).has_value(), "the service ends");
  }

private:
  void serve(const Step &step, const std::function<void()> &idle) {
    told_.write_end.reset();
    pollfd readable{.fd = told_.read_end.get(), .events = POLLIN, .revents = 0};
    for (int idled = 0;; ++idled) {
      if (::poll(&readable, 1, idled < 600 ? 10 : -1) == 0) {
        idle();
        continue;
      }
      char what = 0;
      if (!os::read_exactly(told_.read_end.get(), &what, 1))
        return;
      step(what);
      os::write_all(done_.write_end.get(), ".");
    }
  }
  os::Pipe told_, done_;
  os::ProcessRef process_;
};

/// Without the service's pipes: it is to see that the test has closed them.
void fork_one_that_stays() {
  if (::fork() == 0) {
    for (int fd = 3; fd < 64; ++fd)
      ::close(fd);
    pause_for_ever();
  }
}

std::vector<std::string> attached(const Service &service, const Scratch &scratch) {
  return {"guard",   "--attach", std::to_string(service.process().pid()),
          "--every", "0.005",    "--grace",
          "0.1",     "--report", scratch / "report.json"};
}

/// Until it watches, and has slept so many times more: between two samples, that is.
void let_it_look(Running &running, std::uint64_t times) {
  running.wait_for("at tier attached: ");
  auto sleeps = [&] {
    auto status = os::read_status(running.guard().pid());
    return status ? status->voluntary_switches : 0;
  };
  auto from = sleeps();
  wait_until([&] { return sleeps() >= from + times; }, "guard has looked at it");
}

std::size_t count_of_children(const os::ProcessRef &process) { return os::read_children(process.pid()).size(); }

} // namespace

TEST_CASE("workers of a service that runs already are told to accumulate, and left alone", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    Service service([](char) {}, fork_one_that_stays);
    Running running(attached(service, scratch));
    running.wait_for("at tier attached: ");
    running.wait_for(fmt::format(", started by pid {} (", service.process().pid()));
    running.guard().send(SIGINT);
    expect_equal(running.finish(), 23, "status; " + running.text());
    auto before = count_of_children(service.process());
    expect(before > 10 && !service.process().has_exited(), "all are left alone");
    auto report = scratch.report();
    expect_equal(report.at("tier").get<std::string>(), "attached", "tier");
    expect(!report.at("tier_notes").empty(), "what it may miss");
    expect(!report.at("census").at("complete").get<bool>(), "it does not claim to be complete");
    expect_equal(report.at("growth").at("groups").size(), 1U, "groups");
    expect(report.at("remaining").empty(), "nothing is said to remain of a service that runs");
  });
}

TEST_CASE("a service whose workers come and go is clean when a signal ends the watching", "[guard]") {
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    check_in_child([&] {
      Scratch scratch;
      Service service([](char) {},
                      [] {
                        if (pid_t pid = ::fork(); pid == 0)
                          ::_exit(0);
                        else
                          ::waitpid(pid, nullptr, 0);
                      });
      Running running(attached(service, scratch));
      let_it_look(running, 150);
      running.guard().send(signal);
      expect_equal(running.finish(), 0, "status; " + running.text());
      auto report = scratch.report();
      expect_equal(report.at("verdict").get<std::string>(), "clean", "verdict");
      expect(report.at("growth").at("looks").get<int>() > 64, "looks");
      service.end();
    });
}

TEST_CASE("a service that ends without leaving anything is clean, one that leaves a worker has leaked it", "[guard]") {
  check_in_child([] {
    for (bool leaves : {false, true}) {
      Scratch scratch;
      Service service([](char) { fork_one_that_stays(); });
      if (leaves)
        service.tell('w');
      Running running(attached(service, scratch));
      let_it_look(running, 5);
      service.end();
      expect_equal(running.finish(), leaves ? 23 : 0, "status; " + running.text());
      auto remaining = scratch.report().at("remaining");
      expect_equal(remaining.size(), leaves ? 1U : 0U, "remaining");
      if (leaves) {
        expect_equal(remaining.at(0).at("kind").get<std::string>(), "orphan", "kind");
        expect_equal(remaining.at(0).at("parent").get<pid_t>(), ::getpid(),
                     "its parent is the process that adopted it");
        expect(!remaining.at(0).at("diagnosis").empty(), "why it is there");
        auto left = os::ProcessRef::open(remaining.at(0).at("pid").get<pid_t>());
        expect(left && !left->has_exited(), "it is left alone");
      }
    }
  });
}

TEST_CASE("who was seen below the service is remembered when it has lost its parent", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    os::Pipe middle = os::open_pipe();
    Service service([&](char what) {
      if (what == 's' && ::fork() == 0) { // starts one, and waits
        fork_one_that_stays();
        middle.write_end.reset();
        char byte = 0;
        os::read_exactly(middle.read_end.get(), &byte, 1);
        ::_exit(0);
      }
      if (what == 'e') { // ends the one between
        os::write_all(middle.write_end.get(), ".");
        ::wait(nullptr);
      }
    });
    service.tell('s');
    Running running(attached(service, scratch));
    let_it_look(running, 10);
    service.tell('e');
    expect_equal(count_of_children(service.process()), 0U, "children of the service");
    let_it_look(running, 5);
    service.end();
    expect_equal(running.finish(), 23, "status; " + running.text());
    expect_equal(scratch.report().at("remaining").size(), 1U, "remaining");
  });
}

namespace {

/// An orphan from before: only a cgroup that the service has to itself shows it.
void check_orphan_from_before(const std::string &cgroup, bool seen) {
  Scratch scratch;
  Service service([&](char) {
    if (!cgroup.empty())
      os::write_file(cgroup + "/cgroup.procs", std::to_string(::getpid()));
    if (pid_t middle = ::fork(); middle == 0) {
      fork_one_that_stays();
      ::_exit(0);
    } else {
      ::waitpid(middle, nullptr, 0);
    }
  });
  service.tell('d');
  Running running(attached(service, scratch));
  running.wait_for(seen ? "its cgroup " + cgroup + " is read too" : "has no cgroup of its own");
  let_it_look(running, 5);
  service.end();
  expect_equal(running.finish(), seen ? 23 : 0, "status; " + running.text());
  expect_equal(scratch.report().at("remaining").size(), seen ? 1U : 0U, "remaining");
}

} // namespace

TEST_CASE("an orphan from before is seen in the service's own cgroup, and not without one", "[guard]") {
  auto place = os::find_cgroup_place("pids");
  if (place.parent.empty())
    SKIP(place.lacks);
  check_in_child([&] {
    check_orphan_from_before("", false);
    auto group = os::ScratchCgroup::create(place.parent, os::cgroup_owner_prefix() + "-attach");
    check_orphan_from_before(group.path(), true);
    os::end_all_children(Deadline::after(std::chrono::seconds(5)));
  });
}

TEST_CASE("the timeout ends the watching, not the service", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    Service service([](char) {});
    auto arguments = attached(service, scratch);
    arguments.insert(arguments.end(), {"--timeout", "0.1"});
    auto ran = run(arguments);
    expect_equal(ran.status, 3, "status of too few samples; " + ran.err);
    expect(ran.err.find("too few to say") != std::string::npos, ran.err);
    expect_equal(scratch.report().at("verdict").get<std::string>(), "invalid", "verdict");
    expect(!service.process().has_exited(), "the service runs on");
    service.end();
  });
}

TEST_CASE("a guard that is killed leaves the service alone", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    Service service([](char) { fork_one_that_stays(); });
    service.tell('w');
    {
      Running running(attached(service, scratch));
      let_it_look(running, 5);
    } // SIGKILL
    service.tell('w');
    expect_equal(count_of_children(service.process()), 2U, "workers");
  });
}

TEST_CASE("another user's service is watched, and what can't be read of it is said", "[guard]") {
  if (::geteuid() != 0)
    SKIP("only root can become an ordinary user");
  auto setpriv = os::find_on_path("setpriv");
  std::vector<std::string> as_nobody = {"--reuid=65534", "--regid=65534", "--clear-groups",
                                        PIDLEAK_BINARY_DIR "/pidleak"};
  auto probe = as_nobody;
  probe.emplace_back("--version");
  if (setpriv.empty() || run(probe, setpriv).status != 0)
    SKIP("the build directory is closed to other users");
  check_in_child([&] {
    Service service([](char) {});
    for (const char *argument : {"guard", "--timeout", "0.1", "--attach"})
      as_nobody.emplace_back(argument);
    as_nobody.push_back(std::to_string(service.process().pid()));
    auto ran = run(as_nobody, setpriv);
    expect_equal(ran.status, 3, "status of too few samples; " + ran.err);
    expect(ran.err.find("this user may not examine") != std::string::npos, ran.err);
  });
}

TEST_CASE("what can't be attached to gives status 2, and says why", "[guard]") {
  check_usage({"guard", "--attach", "0"}, "--attach");
  check_usage({"guard", "--attach", "gunicorn"}, "--attach");
  check_usage({"guard", "--attach", "4194304"}, "no such process");
  check_usage({"guard", "--attach", std::to_string(::getpid())}, "guard runs below it");
  check_usage({"guard", "--attach", std::to_string(::getpid()), "--", "/bin/true"}, "one or the other");
  check_usage({"guard"}, "no command given");
  for (const char *option : {"--keep", "--kill-after=1", "--tier=namespace"})
    check_usage({"guard", "--attach", std::to_string(::getppid()), option}, "ends and isolates nothing");
  if (::geteuid() == 0)
    if (auto stat = os::read_stat(2); stat && stat->comm == "kthreadd")
      check_usage({"guard", "--attach", "2"}, "a kernel thread");
  check_in_child([] {
    auto zombie = start([] {});
    wait_until_state(zombie, 'Z');
    auto ran = run({"guard", "--attach", std::to_string(zombie.pid())});
    expect(ran.status == 2 && ran.err.find("has ended already") != std::string::npos, ran.err);
  });
}

// For whom the processes that guard finds wait: what keeps all the others is told first, with its objects and a cure.
#include "harness/guard/guard_test_support.hpp"

using namespace pidleak;
using namespace pidleak::testing;
using nlohmann::json;

namespace {

/// The report on a script of Python, which waits until the one that it leaves has come to rest.
json report_on_python(const std::string &script, const Scratch &scratch, std::vector<std::string> options = {}) {
  options.insert(options.end(), {"--grace", "1", "--report", scratch / "report.json"});
  guard(options, {python(), "-c", "import os, select, signal, socket, subprocess, sys, threading, time\n" + script,
                  scratch / "."});
  expect(os::reap_exited_children(), "no child is left");
  return scratch.report();
}

const json &only_root(const json &processes) {
  const json *root = nullptr;
  for (const auto &process : processes)
    if (process.at("is_root").get<bool>()) {
      expect(!root, "one root alone in " + processes.dump());
      root = &process;
    }
  expect(root && root == &processes.at(0), "the root comes first");
  return *root;
}

std::string cure_of(const json &process) { return process.at("diagnosis").at(0).at("cure").get<std::string>(); }

} // namespace

TEST_CASE("what keeps a chain of processes is told first", "[guard]") {
  check_in_child([] {
    Scratch scratch; // sleep has the pipe that cat reads; both shells wait for their children
    auto report = report_on("mkfifo $1/pipe; (sh -c 'cat $0; true' $1/pipe; true) & sleep 600 >$1/pipe &", scratch);
    const auto &left = report.at("remaining");
    expect_equal(only_root(left).at("comm").get<std::string>(), "sleep", "the root");
    const auto &reads = process_named(left, "cat");
    expect_part(first_finding(reads), "its write end is open in: ");
    expect_equal(reads.at("diagnosis").at(0).at("waits_for").dump(), fmt::format("[{}]", left[0].at("pid").dump()),
                 "whom it waits for");
    expect_equal(left.at(1).at("comm").get<std::string>(), "cat", "the nearest stands behind it");
    expect_equal(left.size(), 4U, "two shells behind that");
  });
}

TEST_CASE("who waits for what a daemon has inherited is told a cure, and who waits for its writer is not", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("out=$(setsid sleep 600 2>/dev/null & echo started)", scratch, {"--timeout", "0.5"});
    expect_part(cure_of(report.at("at_timeout").at(1)), "O_CLOEXEC");
    expect_equal(cure_of(report.at("at_timeout").at(0)), "", "the daemon itself");
  });
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("sleep 600 | cat", scratch, {"--timeout", "0.5"});
    expect_equal(cure_of(process_named(report.at("at_timeout"), "cat")), "", "it has reason to wait");
  });
}

TEST_CASE("two that wait for each other's lock are told as a circle", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto both = [](const char *own, const char *other) {
      return fmt::format("(exec 8>>$1/{0}; flock 8; echo >$1/has-{0}; until [ -e $1/has-{1} ]; do :; done; "
                         "exec flock $1/{1} true) & ",
                         own, other);
    };
    auto report = report_on(both("a", "b") + both("b", "a"), scratch);
    const auto &left = report.at("remaining");
    expect_equal(left.size(), 2U, "left");
    for (std::size_t i : {0, 1}) {
      expect(left.at(i).at("is_root").get<bool>(), "each is a root");
      expect_equal(left.at(i).at("diagnosis").at(0).at("waits_for").at(0).dump(), left.at(1 - i).at("pid").dump(),
                   "whom it waits for");
      expect_part(cure_of(left.at(i)), "same order");
    }
  });
}

TEST_CASE("who polls is told with what it polls, and who has the other end", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    auto report = report_on_python("r, w = os.pipe()\n"
                                   "if os.fork() == 0: os.close(r); signal.pause()\n"
                                   "if os.fork() == 0:\n"
                                   "    os.close(w); select.poll().register(r); p = select.epoll(); p.register(r)\n"
                                   "    p.poll()\n",
                                   scratch);
    const auto &left = report.at("remaining");
    only_root(left);
    auto polls = first_finding(left.at(1));
    expect_part(polls, "waits-for-events: it waits in epoll_wait without a timeout, for pipe:[");
    expect_part(polls, fmt::format(", whose write end is open in: pid {}", left.at(0).at("pid").dump()));
  });
  check_in_child([] { // with a timeout as well, and of a process that is to end
    Scratch scratch;
    auto report = report_on_python("child = os.fork()\n"
                                   "if child == 0: os.setsid(); signal.pause()\n"
                                   "p = select.poll(); p.register(os.pidfd_open(child)); p.poll(600000)\n",
                                   scratch, {"--timeout", "0.7"});
    const auto &hung = report.at("at_timeout");
    expect_part(first_finding(hung.at(1)),
                fmt::format("with a timer, for pid {} to end", only_root(hung).at("pid").dump()));
  });
}

TEST_CASE("the other end of a TCP connection and of a unix socket is told", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  for (const char *pair : {"l = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(l.getsockname()); "
                           "b, _ = l.accept(); l.close()\n",
                           "l = socket.socket(socket.AF_INET6); l.bind(('::', 0)); l.listen(); "
                           "a = socket.create_connection(('127.0.0.1', l.getsockname()[1])); b, _ = l.accept(); "
                           "l.close()\n",
                           "a, b = socket.socketpair()\n"})
    check_in_child([&] {
      Scratch scratch;
      auto report = report_on_python(std::string(pair) + "if os.fork() == 0: b.close(); a.recv(1)\n"
                                                         "if os.fork() == 0: a.close(); signal.pause()\n",
                                     scratch);
      const auto &left = report.at("remaining");
      only_root(left);
      expect_part(first_finding(left.at(1)),
                  fmt::format("a socket whose other end is open in: pid {}", left.at(0).at("pid").dump()));
    });
}

TEST_CASE("an orphan that would go on for ever is told how to notice its parent's death, and an escaped one is not",
          "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("sleep 600 >/dev/null 2>&1 &", scratch);
    expect_part(cure_of(report.at("remaining").at(0)), "PR_SET_PDEATHSIG");
  });
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("setsid sleep 600 >/dev/null 2>&1 & sleep 0.2", scratch);
    expect_equal(cure_of(report.at("remaining").at(0)), "", "it was made a daemon");
  });
}

TEST_CASE("a FIFO whose name is gone has its ends all the same", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("mkfifo $1/pipe; sleep 600 >$1/pipe & cat $1/pipe & "
                            "until ls -l /proc/$!/fd | grep -q /pipe\\$; do :; done; rm $1/pipe",
                            scratch);
    only_root(report.at("remaining"));
    expect_part(first_finding(report.at("remaining").at(1)), "/pipe (deleted); its write end is open in: pid ");
  });
}

TEST_CASE("a shell that waits for its jobs stands behind them", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("sleep 600 & wait", scratch, {"--timeout", "0.5"});
    expect_equal(only_root(report.at("at_timeout")).at("comm").get<std::string>(), "sleep", "the root");
  });
}

TEST_CASE("what is polled for its closing alone is not waited for", "[guard]") {
  check_in_child([] {
    Scratch scratch; // tail asks of its output whether the reader has gone
    auto report = report_on("echo >$1/log; tail -f $1/log | grep x | cat >/dev/null &", scratch);
    expect_equal(only_root(report.at("remaining")).at("comm").get<std::string>(), "tail", "the root");
  });
}

TEST_CASE("who waits for a lock that it holds itself waits for no other", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("exec 5>$1/lock; flock 5; sleep 600 & flock $1/lock true &", scratch);
    const auto &self = process_named(report.at("remaining"), "flock");
    expect(self.at("is_root").get<bool>(), "it is a root");
    expect_part(first_finding(self), "itself");
    expect_part(cure_of(self), "close the inherited descriptor");
  });
}

TEST_CASE("who waits on a connection that was not accepted is told who listens there", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    auto report =
        report_on_python("l = socket.create_server(('127.0.0.1', 0))\n"
                         "if os.fork() == 0: signal.pause()\n"
                         "if os.fork() == 0: a = l.getsockname(); l.close(); socket.create_connection(a).recv(1)\n",
                         scratch);
    const auto &left = report.at("remaining");
    only_root(left);
    expect_part(first_finding(left.at(1)),
                fmt::format("a connection that is not accepted yet by: pid {}", left.at(0).at("pid").dump()));
  });
}

TEST_CASE("a rightful writer is no inherited end, and a program that forks without exec is told to close its ends",
          "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("sleep 600 | cat &", scratch);
    expect_equal(cure_of(process_named(report.at("remaining"), "cat")), "", "both were left");
  });
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    auto report =
        report_on_python("r, w = os.pipe()\nfor i in range(2):\n    if os.fork() == 0: os.read(r, 1)\n", scratch);
    expect_part(cure_of(report.at("remaining").at(0)), "close after the fork");
  });
}

// Signals that are sent to guard alone are the command's; stops and requests to end.
#include "harness/guard/guard_test_support.hpp"

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// Says its pid, and then each signal that it gets, until SIGRTMIN comes. Blocked and waited for, none is merged with
/// another of its kind that has been taken already.
const std::string tells_signals =
    "import signal, os\n"
    "every = signal.valid_signals()\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, every)\n"
    "print('ready', os.getpid(), flush=True)\n"
    "while (got := signal.sigwait(every)) != signal.SIGRTMIN: print('got', int(got), flush=True)\n"
    "print('end', flush=True)\n";

int count_of(const std::string &word, const std::string &text) {
  int count = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

bool has_only_child(const os::ProcessRef &parent, const std::string &comm) {
  auto children = os::read_children(parent.pid());
  auto stat = children.size() == 1 ? os::read_stat(children.front()) : std::nullopt;
  return stat && stat->comm == comm;
}

} // namespace

TEST_CASE("a signal for guard alone reaches the command, once", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGALRM, SIGPIPE, SIGABRT,
                       SIGCONT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGRTMIN + 5}) {
      Running running(guarded({}, {python(), "-c", tells_signals}));
      running.wait_for("ready");
      running.guard().send(signal);
      running.wait_for(fmt::format("got {}\n", signal));
      running.guard().send(SIGRTMIN);
      expect_equal(running.finish(), 0, os::signal_name(signal));
      expect_equal(count_of("got", running.text()), 1, "signals in " + running.text());
    }
  });
}

TEST_CASE("a signal that ends the command ends guard with the same status", "[guard]") {
  check_in_child([] {
    for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
      Running running(guarded({}, {"/bin/sh", "-c", "ulimit -c 0; echo ready; exec cat /dev/zero >/dev/null"}));
      running.wait_for("ready");
      running.guard().send(signal);
      expect_equal(running.finish(), 128 + signal, os::signal_name(signal));
    }
  });
}

TEST_CASE("a signal that the command sends to its own group comes once, and not from guard again", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    // A session, so that the group is guard's and the command's alone.
    auto script = "import signal, os\n"
                  "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
                  "os.kill(0, signal.SIGUSR1)\n"
                  "print(signal.sigtimedwait([signal.SIGUSR1], 5) is not None)\n"
                  "print(signal.sigtimedwait([signal.SIGUSR1], 0.2) is None)\n";
    auto ran = run({PIDLEAK_BINARY_DIR "/pidleak", "guard", "--", python(), "-c", script}, os::find_on_path("setsid"));
    expect_equal(ran.out, "True\nTrue\n", "what it says");
  });
}

TEST_CASE("guard stops when its command is stopped, and the command continues with guard", "[guard]") {
  check_in_child([] {
    Running running(guarded({}, {"/bin/sh", "-c", "echo command $$; exec cat /dev/zero >/dev/null"}));
    auto command = running.process_called("command ");
    for (int round = 0; round < 3; ++round) {
      // Not SIGTSTP, which does nothing in an orphaned process group, as this may be: terminal_test.cpp has that.
      command.send(SIGSTOP);
      wait_until_state(running.guard(), 'T');
      wait_until_state(command, 'T');
      running.guard().send(SIGCONT);
      wait_until(
          [&] {
            auto stat = os::read_stat(command.pid());
            return stat && stat->state != 'T';
          },
          "the command goes on");
    }
    running.guard().send(SIGTERM);
    expect_equal(running.finish(), 128 + SIGTERM, "status");
  });
}

TEST_CASE("a request to end during the grace ends the wait", "[guard]") {
  check_in_child([] {
    for (int signal : {SIGINT, SIGTERM}) {
      Running running(guarded({"--grace", "600"}, {"/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & exit 0"}));
      wait_until([&] { return has_only_child(running.guard(), "sleep"); }, "the command has ended and was reaped");
      running.guard().send(signal);
      expect_equal(running.finish(), 23, "status");
    }
  });
}

TEST_CASE("a request to end the command leaves the others their grace", "[guard]") {
  check_in_child([] {
    Running running(guarded(
        {}, {"/bin/sh", "-c", "trap 'exit 0' TERM; sleep 0.3 >/dev/null 2>&1 & echo ready; while :; do :; done"}));
    running.wait_for("ready");
    running.guard().send(SIGTERM);
    expect_equal(running.finish(), 0, "status; " + running.text());
  });
}

TEST_CASE("a SIGKILL for guard is the command's as well", "[guard]") {
  check_in_child([] {
    Running running(guarded({}, {"/bin/sh", "-c", "echo command $$; exec cat /dev/zero >/dev/null"}));
    auto command = running.process_called("command ");
    running.guard().send(SIGKILL);
    wait_until([&] { return command.has_exited(); }, "the command ends");
    expect_equal(running.finish(), 128 + SIGKILL, "status");
  });
}

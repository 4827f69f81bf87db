// Guard at a terminal: what is typed there does what it does without guard.
#include "harness/guard/guard_test_support.hpp"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <cstdlib>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// A program that leads the session of a pseudo-terminal, and the user who types there.
class Terminal {
public:
  explicit Terminal(std::vector<std::string> command) {
    int master = -1;
    pid_t pid = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid < 0)
      os::throw_errno("forkpty()");
    if (pid == 0) {
      ::setenv("PS1", "", 1);
      ::setenv("TERM", "dumb", 1);
      std::vector<char *> arguments;
      for (auto &argument : command)
        arguments.push_back(argument.data());
      arguments.push_back(nullptr);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    master_ = os::UniqueFd::adopt(master);
    leader_ = os::ProcessRef::open(pid).value();
  }

  const os::ProcessRef &leader() const { return *leader_; }
  void type(const std::string &text) { os::write_all(master_.get(), text); }
  void hang_up() { master_.reset(); }
  void resize() {
    winsize size{.ws_row = 7, .ws_col = 70, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
  }
  void wait_for(const std::string &wanted, Where where = BOOST_CURRENT_LOCATION) {
    auto deadline = Deadline::after(std::chrono::seconds(10));
    while (text_.find(wanted) == std::string::npos) {
      pollfd readable{.fd = master_.get(), .events = POLLIN, .revents = 0};
      char buffer[4096];
      ssize_t got = ::poll(&readable, 1, deadline.left_ms()) > 0 ? ::read(readable.fd, buffer, sizeof buffer) : -1;
      expect(got > 0, "the terminal shows `" + wanted + "`, and not only `" + text_ + "`", where);
      text_.append(buffer, static_cast<std::size_t>(got));
    }
    text_.erase(0, text_.find(wanted) + wanted.size());
  }
  /// Once a process of that name runs below the leader, and waits.
  os::ProcessRef wait_for_process(const std::string &comm, Where where = BOOST_CURRENT_LOCATION) {
    pid_t found = 0;
    testing::wait_until([&] { return (found = find(leader_->pid(), comm)) > 0; }, comm + " runs", where);
    return os::ProcessRef::open(found).value();
  }
  /// Of the last command, once bash edits a line again: it throws away what is typed before.
  void expect_status(int status, Where where = BOOST_CURRENT_LOCATION) {
    testing::wait_until(
        [&] {
          termios settings{};
          return ::tcgetattr(master_.get(), &settings) == 0 && (settings.c_lflag & ICANON) == 0;
        },
        "bash reads", where);
    type("printf 'status=%s.\\n' $?\r");
    wait_for(fmt::format("status={}.", status), where);
  }

private:
  static pid_t find(pid_t parent, const std::string &comm) {
    for (pid_t pid : os::read_children(parent)) {
      auto stat = os::read_stat(pid);
      if (stat && stat->comm == comm && stat->state == 'S')
        return pid;
      if (pid_t below = find(pid, comm))
        return below;
    }
    return 0;
  }

  os::UniqueFd master_;
  std::optional<os::ProcessRef> leader_;
  std::string text_;
};

const std::vector<std::string> interactive_bash = {"/bin/bash", "--norc", "--noprofile", "-i"};

} // namespace

TEST_CASE("Ctrl-C and Ctrl-\\ end the command, with the status of that", "[guard]") {
  check_in_child([] {
    Terminal terminal(interactive_bash);
    terminal.type("ulimit -c 0\r");
    for (auto [key, status] : {std::pair("\x03", 130), {"\x1c", 131}}) {
      terminal.type(guard_then("cat\r"));
      terminal.wait_for_process("cat");
      terminal.type(key);
      terminal.expect_status(status);
    }
  });
}

TEST_CASE("Ctrl-C ends a script as well whose command is guarded", "[guard]") {
  check_in_child([] {
    Terminal terminal(interactive_bash);
    terminal.type("bash -c '" + guard_then("cat") + "; echo \"the script\" goes on'\r");
    terminal.wait_for_process("cat");
    terminal.type("\x03");
    terminal.expect_status(130);
  });
}

TEST_CASE("Ctrl-Z stops the job, and fg and bg continue it", "[guard]") {
  check_in_child([] {
    Terminal terminal(interactive_bash);
    terminal.type(guard_then("cat\r"));
    auto cat = terminal.wait_for_process("cat");
    for (int times = 0; times < 20; ++times) { // each might meet another order of guard's stop and the command's
      terminal.type("\x1a");
      terminal.wait_for("Stopped");
      expect(os::is_stopped(cat.pid()), "the command has stopped");
      terminal.type("fg\r");
      wait_until([&] { return !os::is_stopped(cat.pid()); }, "the command goes on");
      terminal.wait_for_process("cat");
      terminal.type("a line\r");
      terminal.wait_for("a line\r\na line\r\n"); // typed, and from cat
    }
    terminal.type("\x04"); // end of input
    terminal.expect_status(0);
  });
}

TEST_CASE("a command that reads in the background stops the job", "[guard]") {
  check_in_child([] {
    Terminal terminal(interactive_bash);
    terminal.type(guard_then("cat &\r"));
    testing::wait_until(
        [&] {
          terminal.type("jobs\r");
          terminal.wait_for("cat");
          return !os::read_children(terminal.leader().pid()).empty() &&
                 os::read_stat(os::read_children(terminal.leader().pid())[0])->state == 'T';
        },
        "guard has stopped");
    terminal.type("fg\r");
    terminal.wait_for_process("cat");
    terminal.type("\x03");
    terminal.expect_status(130);
  });
}

TEST_CASE("a new size of the terminal reaches the command", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Terminal terminal({PIDLEAK_BINARY_DIR "/pidleak", "guard", "--", python(), "-c",
                       "import signal, os\n"
                       "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
                       "print('ready')\n"
                       "signal.sigwait([signal.SIGWINCH])\n"
                       "print('size', os.get_terminal_size().columns)\n"});
    terminal.wait_for("ready");
    terminal.resize();
    terminal.wait_for("size 70");
    expect_equal(os::reap(terminal.leader()).value, 0, "status");
  });
}

TEST_CASE("a shell under guard has the terminal and its jobs", "[guard]") {
  check_in_child([] {
    auto command = guarded({}, interactive_bash);
    command.insert(command.begin(), PIDLEAK_BINARY_DIR "/pidleak");
    Terminal terminal(command);
    terminal.type("cat\r");
    auto cat = terminal.wait_for_process("cat");
    terminal.type("\x1a");
    terminal.wait_for("Stopped");
    terminal.type("fg\r");
    wait_until([&] { return !os::is_stopped(cat.pid()); }, "the command goes on");
    terminal.wait_for_process("cat");
    terminal.type("\x03");
    terminal.expect_status(130);
    terminal.type("exit 5\r");
    expect_equal(os::reap(terminal.leader()).value, 5, "status");
  });
}

TEST_CASE("a terminal that hangs up ends the command whose guard leads the session", "[guard]") {
  check_in_child([] {
    Terminal terminal({PIDLEAK_BINARY_DIR "/pidleak", "guard", "--", "sleep", "600"});
    terminal.wait_for_process("sleep");
    terminal.hang_up();
    auto status = os::reap(terminal.leader(), Deadline::after(std::chrono::seconds(10)));
    expect(status.has_value(), "guard ends");
    expect_equal(status->text(), "killed by SIGHUP", "its end");
  });
}

TEST_CASE("a guarded command whose reader leaves ends of SIGPIPE", "[guard]") {
  auto ran = shell(guard_then("yes") + " | head -n 1; echo ${PIPESTATUS[*]}");
  CHECK(ran.out == "y\n141 0\n");
}

TEST_CASE("guard does without streams, and its words go nowhere then", "[guard]") {
  check_in_child([] {
    for (const char *closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
      Scratch scratch;
      auto guard = PIDLEAK_BINARY_DIR "/pidleak guard --grace 0.1 --report " + scratch / "report.json" + " -- ";
      expect_equal(shell(guard + "sh -c 'exit 3' " + closed).status, 3, "status");
      expect_equal(shell(guard + "sh -c 'sleep 600 & exit 0' " + closed).status, 23, "status of a leak");
      expect_equal(scratch.report().at("verdict").get<std::string>(), "leaked", "verdict");
    }
    expect_equal(shell(guard_then("sh -c 'sleep 600 >/dev/null 2>&1 &'") + " 2>&1 >/dev/full | true; "
                                                                           "echo ${PIPESTATUS[0]}")
                     .out,
                 "23\n", "status without a reader");
    expect(os::reap_exited_children(), "no child is left");
  });
}

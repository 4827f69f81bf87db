// Safe hands: guard harms nothing that is not the command's, loses no output, never hangs, and ends what is left
// whatever fails on the way.
#include "harness/guard/guard_test_support.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

const std::string binary = PIDLEAK_BINARY_DIR "/pidleak";

bool can_make_pid_namespaces() { return ::geteuid() == 0 && !os::find_on_path("unshare").empty(); }

void expect_no_child(Where where = BOOST_CURRENT_LOCATION) {
  expect(os::reap_exited_children(), "no child is left", where);
}

/// As check_in_child(), for what takes its time on a busy machine.
void check_long(const std::function<void()> &body) { CHECK(run_in_child(body, std::chrono::seconds(90)) == ""); }

} // namespace

TEST_CASE("a slow reader of what a straggler writes gets every byte, when the grace allows it", "[guard]") {
  const std::string million = "head -c 1000000 /dev/zero";
  for (const auto &[write, read] :
       {std::pair<std::string, std::string>{million + " & exit 0", "%s 2>/dev/null | { sleep 0.3; wc -c; }"},
        {million + " >&2 & exit 0", "%s 2>&1 >/dev/null | { sleep 0.3; wc -c; }"},
        {million + " > >(cat >&1) & exit 0", "%s 2>/dev/null | { sleep 0.3; wc -c; }"}})
    for (const char *options : {"", "--grace 20", "--tier namespace --grace 20"}) {
      if (std::string(options).find("tier") != std::string::npos && !can_make_pid_namespaces())
        continue;
      auto script = read;
      script.replace(script.find("%s"), 2, fmt::format("{} guard {} -- bash -c '{}'", binary, options, write));
      INFO(script);
      CHECK(shell(script).out == "1000000\n");
    }
}

TEST_CASE("a command that was stopped and is continued alone goes on, and guard with it", "[guard]") {
  check_in_child([] {
    for (const auto &options : {std::vector<std::string>{}, {"--timeout", "60"}}) {
      Running running(guarded(options, {"/bin/sh", "-c", "echo command $$; kill -STOP $$; echo resumed; exit 5"}));
      auto command = running.process_called("command ");
      wait_until_state(running.guard(), 'T');
      command.send(SIGCONT);
      expect_equal(running.finish(), 5, "status");
      expect_part(running.text(), "resumed");
    }
    expect_no_child();
  });
}

TEST_CASE("time limits hold for a command that is stopped, and its SIGTERM handler runs", "[guard]") {
  for (const char *tier : {"subreaper", "namespace"}) {
    if (std::string(tier) == "namespace" && !can_make_pid_namespaces())
      continue;
    INFO(tier);
    auto ran = guard_shell({"--tier", tier, "--timeout", "0.3", "-k", "20"},
                           "trap 'echo got TERM; exit 9' TERM; kill -STOP $$; sleep 600");
    CHECK(ran.status == 124);
    CHECK(ran.out == "got TERM\n");
    CHECK(guard_shell({"--tier", tier, "--timeout", "0.3", "-k", "0.1"}, "trap '' TERM; kill -STOP $$").status == 124);
  }
}

TEST_CASE("a signal for a whole group that ends the command is no request to cut the grace", "[guard]") {
  check_in_child([] {
    // Guard is held while the signal comes, so that it finds the command's end and its own copy at once.
    Running running(guarded({"--grace", "20"}, {"/bin/sh", "-c", "sleep 0.5 >/dev/null 2>&1 & echo command $$; wait"}));
    auto command = running.process_called("command ");
    running.guard().send(SIGSTOP);
    wait_until_state(running.guard(), 'T');
    for (const os::ProcessRef *process : {&running.guard(), static_cast<const os::ProcessRef *>(&command)})
      process->send(SIGTERM);
    os::wait_for_any_exit({command.pidfd()}, std::chrono::seconds(10));
    running.guard().send(SIGCONT);
    expect_equal(running.finish(), 128 + SIGTERM, "status");
    expect(running.text().find("outlived") == std::string::npos, "no leak is told: " + running.text());
    expect_no_child();
  });
}

TEST_CASE("a watch goes on, and its service with it, whatever a sample meets", "[guard]") {
  check_in_child([] {
    Running running(guarded({"--watch", "--every", "0.01"}, {"/bin/sh", "-c", "echo service $$; exec sleep 600"}));
    auto service = running.process_called("service ");
    rlimit few{.rlim_cur = 3, .rlim_max = 1024}, enough{.rlim_cur = 1024, .rlim_max = 1024}, now{};
    auto has_raised_its_own = [&] {
      ::prlimit(running.guard().pid(), RLIMIT_NOFILE, nullptr, &now);
      return now.rlim_cur == now.rlim_max;
    };
    testing::wait_until(has_raised_its_own, "guard has as many descriptors as it may have");
    expect(::prlimit(running.guard().pid(), RLIMIT_NOFILE, &few, nullptr) == 0, "prlimit");
    running.wait_for("a sample failed");
    expect(::prlimit(running.guard().pid(), RLIMIT_NOFILE, &enough, nullptr) == 0, "prlimit");
    expect(!service.has_exited(), "the service runs");
    service.send(SIGTERM);
    expect_equal(running.finish(), 128 + SIGTERM, "status");
    expect_part(running.text(), "samples that failed: ");
  });
}

TEST_CASE("a file that is too deep to be named is no reason to leave its holder", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    scratch.write("deep.py", "import os, sys, time\n"
                             "os.chdir(sys.argv[1])\n"
                             "for i in range(30):\n"
                             "    os.mkdir('d' * 200); os.chdir('d' * 200)\n"
                             "f = open('file', 'w')\n"
                             "if os.fork() == 0:\n"
                             "    os.close(1); os.close(2); time.sleep(600)\n");
    std::filesystem::create_directory(scratch / "deep");
    auto ran = guard({"--grace", "0.2"}, {python(), scratch / "deep.py", scratch / "deep"});
    expect_equal(ran.status, 23, "status; " + ran.err);
    expect_part(ran.err, "a process outlived the command");
    expect_no_child();
  });
}

TEST_CASE("very many are ended with few descriptors", "[guard]") {
  check_long([] {
    const std::string many = "i=0; while [ $i -lt 300 ]; do sleep 600 >/dev/null 2>&1 & i=$((i+1)); done";
    for (const char *limit : {"16", "64", "256"})
      for (const char *options : {"", "--grace 0.2"}) {
        auto ran = shell(fmt::format("ulimit -n {}; exec {} guard {} -- sh -c '{}'", limit, binary, options, many));
        expect_equal(ran.status, 23, "status; " + ran.err);
        expect_part(ran.err, "300 processes outlived the command");
        expect_part(ran.err, "\n  ended by SIGTERM");
        expect_no_child();
      }
  });
}

TEST_CASE("very many are told within the grace once more", "[guard]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("the sanitizers make a look at many several times as long");
#endif
  check_long([] {
    constexpr double grace_s = 10; // the bound is the grace, and not a time of this machine's
    auto ran = guard_shell({"--grace", std::to_string(grace_s)},
                           "i=0; while [ $i -lt 1500 ]; do sleep 600 >/dev/null 2>&1 & i=$((i+1)); done; date +%s.%N");
    std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    expect_part(ran.err, "1500 processes outlived the command");
    auto took_s = now.count() - std::stod(ran.out);
    expect(took_s < 2 * grace_s, fmt::format("told {} s after the command's end", took_s));
    expect_no_child();
  });
}

TEST_CASE("a command line that only just fits is guarded as any other", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_long([] {
    // The longest that execve(2) takes, found as it is in no two kernels the same.
    Scratch scratch;
    scratch.write(
        "longest.py",
        "import subprocess, sys\n"
        "def run(n, last):\n"
        "    args = ['x' * 100000] * n + ['y' * last]\n"
        "    try: return subprocess.run([sys.argv[1], 'guard', '--', '/bin/sh', '-c', 'sleep 600 >/dev/null 2>&1 & "
        "exit 0', 'sh']\n"
        "                               + args, env={'PATH': '/usr/bin:/bin'}, capture_output=True, text=True)\n"
        "    except OSError: return None\n"
        "def most(fits, low, high):\n"
        "    while high - low > 1:\n"
        "        middle = (low + high) // 2\n"
        "        low, high = (middle, high) if fits(middle) else (low, middle)\n"
        "    return low\n"
        "def fits(n, last):\n"
        "    try: subprocess.run(['/bin/true', 'guard', '--', '/bin/sh', '-c', 'sleep 600 >/dev/null 2>&1 & exit 0', "
        "'sh'] + ['x' * 100000] * n + ['y' * last],\n"
        "                        env={'PATH': '/usr/bin:/bin'}); return True\n"
        "    except OSError: return False\n"
        "n = most(lambda n: fits(n, 1), 1, 200)\n"
        "last = most(lambda last: fits(n, last), 1, 100001)\n"
        "ran = next(r for r in (run(n, last - less) for less in range(0, 400, 25)) if r)\n"
        "print(ran.returncode, len(ran.stderr), 'ended' in ran.stderr)\n");
    auto ran = run({scratch / "longest.py", binary}, python());
    expect(ran.out.starts_with("23 ") && ran.out.ends_with(" True\n"), ran.out + ran.err);
    expect(std::stoi(ran.out.substr(3)) < 4000, "the command is shortened where it is told: " + ran.out);
    expect_no_child();
  });
}

TEST_CASE("what others leave is not the command's: it is spared", "[guard]") {
  check_in_child([] {
    // A process that was there before guard starts a daemon while guard is there.
    auto ran = shell("sh -c 'sleep 0.3; sleep 600 >/dev/null 2>&1 & echo $!' & exec " + binary +
                     " guard --grace 0.5 -- sleep 1");
    expect_equal(ran.status, 0, "status; " + ran.err);
    auto spared = os::ProcessRef::open(std::stoi(ran.out));
    expect(spared && !spared->has_exited(), "the other's daemon lives");
    spared->send(SIGKILL);
    auto own = shell("sleep 600 >/dev/null 2>&1 & other=$!; " + binary +
                     " guard -- sh -c 'sleep 601 >/dev/null 2>&1 & exit 0'; echo $? $other");
    expect(own.out.starts_with("23 "), own.out + own.err);
    auto other = os::ProcessRef::open(std::stoi(own.out.substr(3)));
    expect(other && !other->has_exited(), "the other lives");
    other->send(SIGKILL);
  });
}

TEST_CASE("guard as an init spares what enters its PID namespace from outside", "[guard]") {
  if (!can_make_pid_namespaces() || os::find_on_path("nsenter").empty())
    SKIP("only root can make and enter a PID namespace, with unshare and nsenter");
  for (const char *options : {"", "--grace 0.5"})
    check_in_child([&] {
      auto script = fmt::format("exec unshare -p -f --mount-proc {} guard {} -- sh -c 'echo ready; read go; sleep 600 "
                                ">/dev/null 2>&1 & exit 4'",
                                binary, options);
      auto in = os::open_pipe(), out = os::open_pipe();
      auto unshare = os::launch({.program = "/bin/sh",
                                 .arguments = {"-c", script},
                                 .standard_input = in.read_end.get(),
                                 .standard_output = out.write_end.get(),
                                 .standard_error = out.write_end.get()});
      out.write_end.reset();
      char ready[6] = {};
      expect(os::read_exactly(out.read_end.get(), ready, sizeof ready), "the command is there");
      auto init = os::ProcessRef::open(os::read_children(unshare.pid()).at(0)).value();
      auto entered =
          run({"-t", std::to_string(init.pid()), "-p", "-m", "/bin/sh", "-c", "sleep 700 >/dev/null 2>&1 & exit 0"},
              os::find_on_path("nsenter"));
      expect_equal(entered.status, 0, "nsenter; " + entered.err);
      auto is_spared = [&](pid_t pid) {
        auto words = os::read_command_line(pid);
        return words.size() == 2 && words[1] == "700";
      };
      pid_t spared = 0;
      wait_until(
          [&] {
            auto children = os::read_children(init.pid());
            auto found = std::find_if(children.begin(), children.end(), is_spared);
            spared = found == children.end() ? 0 : *found;
            return spared != 0;
          },
          "the init has adopted it");
      os::write_all(in.write_end.get(), "go\n");
      auto status = os::reap(unshare, Deadline::after(std::chrono::seconds(20)));
      expect(status == os::WaitStatus{.signaled = false, .value = 4}, "the command's status");
      std::string text(4096, '\0');
      text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(out.read_end.get(), text.data(), text.size()))));
      expect_part(text, "a process outlived the command"); // its own, and no other
      expect(text.find("700") == std::string::npos, "the other's is not blamed: " + text);
    });
}

TEST_CASE("a suppressed parent stays, and its child that is not suppressed does not", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    scratch.write("rules.json", R"({"suppressions": [{"comm": "sh", "reason": "known"}]})");
    auto ran = guard_shell({"--grace", "0.2", "--suppressions", scratch / "rules.json"},
                           "(sleep 600; read never) </dev/zero >/dev/null 2>&1 & echo $!; exit 0");
    expect_equal(ran.status, 23, "status; " + ran.err);
    expect_part(ran.err, "\n  ended by SIGTERM\n");
    auto parent = os::ProcessRef::open(std::stoi(ran.out)).value();
    for (pid_t child : os::read_children(parent.pid())) {
      auto stat = os::read_stat(child);
      expect(!stat || stat->state == 'Z' || stat->comm != "sleep", "its child has ended");
    }
    expect(!parent.has_exited(), "the parent lives");
    parent.send(SIGKILL);
  });
}

TEST_CASE("a signal in the first moments of a PID namespace is not lost", "[guard]") {
  if (!can_make_pid_namespaces())
    SKIP("only root can make a PID namespace here");
  check_in_child([] {
    for (int round = 0; round < 30; ++round) {
      auto guard = os::launch({.program = binary,
                               .arguments = {"guard", "--tier", "namespace", "--", "/bin/sleep", "600"},
                               .standard_error = -1});
      wait_until([&] { return !os::read_children(guard.pid()).empty() || guard.has_exited(); }, "its init is there");
      guard.send(SIGTERM);
      auto status = os::reap(guard, Deadline::after(std::chrono::seconds(20)));
      expect(status.has_value(), fmt::format("guard ends, in round {}", round));
      expect_no_child();
    }
  });
}

TEST_CASE("the value of sigqueue reaches the command", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    for (const auto &options : {std::vector<std::string>{}, {"--grace", "1"}}) {
      Running running(guarded(options, {python(), "-c",
                                        "import signal\n"
                                        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])\n"
                                        "print('ready', flush=True)\n"
                                        "info = signal.sigwaitinfo([signal.SIGRTMIN])\n"
                                        "print('code', info.si_code, 'from', info.si_pid, flush=True)\n"}));
      running.wait_for("ready");
      ::sigqueue(running.guard().pid(), SIGRTMIN, {.sival_int = 4711});
      running.wait_for(fmt::format("code {} from {}\n", SI_QUEUE, ::getpid()));
      expect_equal(running.finish(), 0, "status");
    }
  });
}

TEST_CASE("a report that can't be written is said, and the command's status kept", "[guard]") {
  if (!can_make_pid_namespaces())
    SKIP("only root can mount a small file system");
  Scratch scratch;
  auto in_small = [&](const std::string &command) {
    return run(
        {"-m", "/bin/sh", "-c",
         fmt::format("mount -t tmpfs -o size=4k none {0} && {{ echo old >{0}/r; head -c 9000 /dev/zero >{0}/full 2>&-; "
                     "{1} guard --report {0}/r -- {2}; status=$?; cat {0}/r; exit $status; }}",
                     scratch / "", binary, command)},
        os::find_on_path("unshare"));
  };
  auto failed = in_small("sh -c 'exit 7'");
  CHECK(failed.status == 7);
  CHECK(failed.out == "old\n");
  CHECK(failed.err.find("ENOSPC") != std::string::npos);
  CHECK(in_small("sh -c 'sleep 600 >/dev/null 2>&1 & exit 0'").status == 23);
  CHECK(in_small("true").status == 5);
}

TEST_CASE("a command that takes /proc away leaves nothing that is called clean", "[guard]") {
  if (::geteuid() != 0)
    SKIP("mounts need root");
  check_in_child([] {
    auto ran = shell("exec unshare -m " PIDLEAK_BINARY_DIR "/pidleak guard -- sh -c '(sleep 4 & umount -l /proc) "
                     ">/dev/null 2>&1'");
    if (ran.err.find("unshare") != std::string::npos)
      return;
    expect_equal(ran.status, 23, "status; " + ran.err);
  });
}

TEST_CASE("with hardly any descriptors what has left by itself is no leak", "[guard]") {
  check_in_child([] {
    auto ran = shell("ulimit -n 5; exec " PIDLEAK_BINARY_DIR "/pidleak guard -- sh -c 'sleep 0.3 & exit 0'");
    expect_equal(ran.status, 0, "status; " + ran.err);
    expect_equal(ran.err, "", "what is said");
  });
}

TEST_CASE("what a straggler writes to a pipe that guard does not have reaches its slow reader", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto ran = shell(
        fmt::format("( exec sleep 6 ) > >(sleep 0.5; wc -c >{0}) & holder=$!; "
                    "own=$(readlink /proc/$$/fd/1); " // until the holder has the pipe in its place
                    "while [ \"$(readlink /proc/$holder/fd/1)\" = \"$own\" ]; do sleep 0.01; done; " PIDLEAK_BINARY_DIR
                    "/pidleak guard --grace 20 -- sh -c \"head -c 1000000 /dev/zero "
                    ">/proc/$holder/fd/1 & exit 0\"; status=$?; kill $holder; "
                    "while [ ! -s {0} ]; do sleep 0.05; done; echo $status $(cat {0})",
                    scratch / "count"));
    expect_equal(ran.out, "0 1000000\n", "status and bytes; " + ran.err);
  });
}

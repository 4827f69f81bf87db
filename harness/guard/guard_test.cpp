// A command under guard is what it would be without: its status, its arguments, streams, environment and signals.
#include "harness/guard/guard_test_support.hpp"

#include <sys/stat.h>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;

/// Without options it is pidleak itself that stands before the command, with some pidleak-cli.
const std::vector<std::vector<std::string>> all_options = {{}, {"--grace", "1"}};

TEST_CASE("the command's exit status is guard's", "[guard]") {
  for (const auto &options : all_options)
    for (int status : {0, 1, 2, 3, 23, 42, 124, 126, 127, 128, 137, 255}) {
      auto ran = guard_shell(options, "exit " + std::to_string(status));
      CHECK(ran.status == status);
      CHECK(ran.err == "");
    }
}

TEST_CASE("a pidleak alone runs commands, ends what they leave, and says what it is without", "[guard]") {
  Scratch scratch;
  auto alone = scratch / "pidleak";
  std::filesystem::copy_file(PIDLEAK_BINARY_DIR "/pidleak", alone);
  CHECK(run({"guard", "--", "/bin/sh", "-c", "exit 3"}, alone).status == 3);
  CHECK(run({"guard", "--", "/bin/sh", "-c", "sleep 0.1 >/dev/null 2>&1 &"}, alone).status == 0);
  auto ran = run({"list"}, alone);
  CHECK(ran.status == 5);
  CHECK_THAT(ran.err, ContainsSubstring("pidleak-cli is neither in") && ContainsSubstring("incomplete"));
  auto left = run({"guard", "--", "/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"}, alone);
  CHECK(left.status == 23);
  CHECK_THAT(left.err, ContainsSubstring("pidleak-cli is neither in") && ContainsSubstring(" sleep;") &&
                           ContainsSubstring("\n  ended by SIGTERM\n"));
  CHECK_FALSE(os::read_stat(std::stoi(left.out)));
}

TEST_CASE("a command that a signal ends gives 128 and its number", "[guard]") {
  for (const auto &options : all_options)
    for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGRTMIN}) {
      INFO(os::signal_name(signal));
      CHECK(guard_shell(options, "ulimit -c 0; kill -" + std::to_string(signal) + " $$").status == 128 + signal);
    }
}

TEST_CASE("the process that waits for guard sees the command's signal, as a shell must after Ctrl-C", "[guard]") {
  auto ran = run(guarded({}, {"/bin/sh", "-c", "kill -INT $$"}));
  CHECK(ran.status == 128 + SIGINT);
  // bash leaves a script only if the command has died of the signal: one that exits with 130 has dealt with it.
  auto killed = shell("python3 -c \"import subprocess as s; print(s.call(['" PIDLEAK_BINARY_DIR
                      "/pidleak','guard','--','sh','-c','kill -TERM \\$\\$']))\"");
  CHECK(killed.out == "-15\n");
}

TEST_CASE("what can't be executed gives 127 or 126, as in a shell", "[guard]") {
  auto missing = guard({}, {"/nonexistent/command"});
  CHECK(missing.status == 127);
  CHECK_THAT(missing.err, ContainsSubstring("No such file or directory"));
  CHECK(guard({}, {"no-such-command-on-the-path"}).status == 127);
  CHECK(guard({}, {""}).status == 127);
  auto directory = guard({}, {"/"});
  CHECK(directory.status == 126);
  CHECK_THAT(directory.err, ContainsSubstring("Permission denied"));
  CHECK(guard({}, {"/etc/passwd"}).status == 126);
}

TEST_CASE("a script without a first line runs in a shell, as with execvp", "[guard]") {
  Scratch scratch;
  scratch.write("script", "echo \"$1\"\n");
  ::chmod((scratch / "script").c_str(), 0755);
  CHECK(guard({}, {scratch / "script", "argument"}).out == "argument\n");
}

TEST_CASE("arguments reach the command as they are", "[guard]") {
  const std::vector<std::string> odd = {"",  "--", "-k", "--timeout", "--help", "-h", "a b",   "'",  "\"", "[a,b]",
                                        "[", "%%", "\n", "\xff",      "run",    "{}", "--a=b", "++", "/"};
  auto command = std::vector<std::string>{"/usr/bin/printf", "<%s>"};
  command.insert(command.end(), odd.begin(), odd.end());
  std::string wanted;
  for (const auto &argument : odd)
    wanted += "<" + argument + ">";
  CHECK(guard({}, command).out == wanted);
  auto without_dashes = std::vector<std::string>{"guard"};
  without_dashes.insert(without_dashes.end(), command.begin(), command.end());
  CHECK(run(without_dashes).out == wanted);
}

TEST_CASE("a command may be called like a verb of pidleak", "[guard]") {
  Scratch scratch;
  for (const char *name : {"list", "run", "guard", "--odd"}) {
    scratch.write(name, "#!/bin/sh\necho it is mine\n");
    ::chmod((scratch / name).c_str(), 0755);
    CHECK(shell("PATH=" + scratch / "" + ":$PATH; " + guard_then(name)).out == "it is mine\n");
  }
}

TEST_CASE("streams, directory and environment are the command's own", "[guard]") {
  CHECK(shell("echo in | " + guard_then("sh -c 'cat; echo err >&2'") + " 2>&1").out == "in\nerr\n");
  CHECK(shell("cd /usr && " + guard_then("pwd")).out == "/usr\n");
  CHECK(shell("env -i A=1 'B=x y' " + guard_then("/usr/bin/env")).out == "A=1\nB=x y\n");
  CHECK(shell(guard_then("cat") + " <&-").status == 1); // closed stays closed
}

namespace {

/// What a process inherits: of itself, written by the command.
const std::string state = "grep -E '^(SigBlk|SigIgn|SigCgt|NoNewPrivs|Seccomp|Uid|Groups|CapEff)' /proc/self/status; "
                          "ls /proc/self/fd; cat /proc/self/oom_score_adj; umask; ulimit -a; nice";

} // namespace

TEST_CASE("signal dispositions, mask, descriptors, limits and rights are what guard was started with", "[guard]") {
  auto write_state = [](const std::string &prefix) {
    Scratch scratch;
    scratch.write("state", state);
    auto bare = shell(prefix + "/bin/bash " + scratch / "state");
    auto guarded = shell(prefix + guard_then("/bin/bash " + scratch / "state"));
    INFO(prefix);
    CHECK(bare.status == 0);
    CHECK(guarded.out == bare.out);
    CHECK(guarded.err == bare.err);
  };
  write_state("");
  write_state("trap '' PIPE INT QUIT TERM HUP USR1 TSTP TTIN TTOU; ");
  write_state("trap '' CHLD; ");
  write_state("exec 7</dev/null 19>/dev/null; ");
  write_state("exec </dev/null 2>/dev/null; umask 077; ulimit -n 64; nice -n 3 ");
  write_state("nice -n -5 "); // who may not have that is told so, and runs
  if (!os::find_on_path("env").empty())
    write_state("env --block-signal=TERM,CHLD,USR1 --ignore-signal=PIPE ");
}

TEST_CASE("an ignored SIGCHLD does not lose the command's status", "[guard]") {
  auto ran = shell("trap '' CHLD; exec timeout 20 " + guard_then("sh -c 'exit 7'"));
  CHECK(ran.status == 7);
}

TEST_CASE("the command's parent is guard, its group and session are those of guard", "[guard]") {
  CHECK(shell("test \"$(" + guard_then("sh -c 'ps -o pgid= -o sid= -p $$'") + ")\" = \"$(ps -o pgid= -o sid= -p $$)\"")
            .status == 0);
}

TEST_CASE("options that make no sense give status 2, and nothing is started", "[guard]") {
  Scratch scratch;
  auto command = std::vector<std::string>{"/usr/bin/touch", scratch / "started"};
  for (std::vector<std::string> options : {std::vector<std::string>{"--grace", "-1"},
                                           {"--grace", "x"},
                                           {"--timeout", "-1"},
                                           {"--error-exitcode", "256"},
                                           {"--error-exitcode", "-1"},
                                           {"--no-such-option"},
                                           {"--report", "/nonexistent/report.json"},
                                           {"--kill-after", "soon"},
                                           {"--suppressions", "/nonexistent/rules"}}) {
    INFO(options[0]);
    CHECK(guard(options, command).status == 2);
  }
  CHECK(run({"guard"}).status == 2);
  CHECK(run({"guard", "--"}).status == 2);
  CHECK_FALSE(std::filesystem::exists(scratch / "started"));
}

TEST_CASE("guard says nothing when nothing was left", "[guard]") {
  auto ran = guard_shell({}, "echo out; echo err >&2");
  CHECK(ran.out == "out\n");
  CHECK(ran.err == "err\n");
}

// Real commands under guard, unchanged.
#include "harness/guard/guard_test_support.hpp"

#include <catch2/generators/catch_generators.hpp>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;

namespace {

void skip_without(const std::string &program) {
  if (os::find_on_path(program).empty())
    SKIP("this machine has no " + program);
}

} // namespace

TEST_CASE("make builds in parallel under guard", "[guard]") {
  skip_without("make");
  Scratch scratch;
  scratch.write("Makefile", "all: a b c d\na b c d:\n\t@echo made >$@\n");
  auto ran = guard({}, {"make", "-s", "-j2", "-C", scratch / ""});
  CHECK(ran.status == 0);
  CHECK(ran.err == "");
  CHECK(scratch.text_of("d") == "made\n");
  scratch.write("Makefile", "all:\n\t@exit 1\n");
  CHECK(guard({}, {"make", "-s", "-C", scratch / ""}).status == 2);
}

TEST_CASE("ctest fails a guarded test that leaves a process, and passes one that does not", "[guard]") {
  skip_without("ctest");
  Scratch scratch;
  auto guarded_test = PIDLEAK_BINARY_DIR "/pidleak\" guard --grace 0.1 -- sh -c ";
  scratch.write("CTestTestfile.cmake", std::string("add_test(leaves \"") + guarded_test +
                                           "\"sleep 600 >/dev/null 2>&1 &\")\n" + "add_test(leaves-nothing \"" +
                                           guarded_test + "true)\n");
  auto ran = run({"--test-dir", scratch / ""}, os::find_on_path("ctest"));
  CHECK(ran.status == 8);
  CHECK_THAT(ran.out, ContainsSubstring("1 tests failed out of 2"));
}

TEST_CASE("a pipeline under guard is a pipeline", "[guard]") {
  auto ran = guard({}, {"/bin/bash", "-c", "seq 1000 | sort -rn | head -n 1"});
  CHECK(ran.status == 0);
  CHECK(ran.out == "1000\n");
}

TEST_CASE("guard under guard: the inner one tells the leak, and nothing is left for the outer", "[guard]") {
  auto ran = guard({}, {PIDLEAK_BINARY_DIR "/pidleak", "guard", "--grace", "0.1", "--", "/bin/sh", "-c",
                        "sleep 600 >/dev/null 2>&1 &"});
  CHECK(ran.status == 23);
  CHECK(ran.err.find("outlived") == ran.err.rfind("outlived"));
}

TEST_CASE("a server that SIGTERM stops is clean", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Running running(guarded({}, {python(), "-c",
                                 "import http.server, signal, sys\n"
                                 "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
                                 "s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
                                 "print('serving', flush=True)\n"
                                 "s.serve_forever()\n"}));
    running.wait_for("serving");
    running.guard().send(SIGTERM);
    expect_equal(running.finish(), 0, "status; " + running.text());
  });
}

TEST_CASE("guard as init of a PID namespace", "[guard]") {
  skip_without("unshare");
  if (::geteuid() != 0)
    SKIP("only root can make a PID namespace");
  check_in_child([] {
    auto in_namespace = [](const std::string &script) {
      return run({"--pid", "--fork", "--mount-proc", PIDLEAK_BINARY_DIR "/pidleak", "guard", "--grace", "0.1", "--",
                  "/bin/sh", "-c", script},
                 os::find_on_path("unshare"));
    };
    expect_equal(in_namespace("exit 7").status, 7, "status");
    expect_equal(in_namespace("kill -TERM $$").status, 128 + SIGTERM, "status after a signal");
    expect_equal(in_namespace("sleep 600 >/dev/null 2>&1 &").status, 23, "status of a leak");
  });
}

TEST_CASE("guard under strace is guard", "[guard]") {
  skip_without("strace");
  auto ran = run({"-f", "-o", "/dev/null", PIDLEAK_BINARY_DIR "/pidleak", "guard", "--", "/bin/sh", "-c", "exit 6"},
                 os::find_on_path("strace"));
  if (ran.status == 1)
    SKIP("strace may not trace here: " + ran.err);
  CHECK(ran.status == 6);
}

TEST_CASE("guard under gdb, and gdb under guard", "[guard]") {
  skip_without("gdb");
  const std::vector<std::string> to_its_end = {"-nx", "-batch", "-ex", "run", "-ex", "print $_exitcode", "--args"};
  auto gdb = os::find_on_path("gdb");
  auto with = [&](std::vector<std::string> arguments, const std::vector<std::string> &command) {
    arguments.insert(arguments.end(), command.begin(), command.end());
    return arguments;
  };
  auto around =
      run(with(to_its_end, with({PIDLEAK_BINARY_DIR "/pidleak"}, guarded({}, {"/bin/sh", "-c", "exit 6"}))), gdb);
  if (around.out.find("exited") == std::string::npos ||
      around.err.find("under ptrace") != std::string::npos) // LeakSanitizer
    SKIP("gdb may not trace here: " + around.err);
  CHECK_THAT(around.out, ContainsSubstring("$1 = 6"));
  auto below = guard({}, with({gdb}, with(to_its_end, {"/bin/sh", "-c", "exit 6"})));
  CHECK(below.status == 0);
  CHECK_THAT(below.out, ContainsSubstring("$1 = 6"));
  auto leak =
      guard({"--grace", "0.1"}, with({gdb}, with(to_its_end, {"/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & exit 0"})));
  CHECK(leak.status == 23);
}

TEST_CASE("in a container without rights whose cgroups are read-only, guard is its init or not", "[guard]") {
  skip_without("unshare");
  skip_without("setpriv");
  if (::geteuid() != 0)
    SKIP("only root can build the container");
  auto first = GENERATE(std::string("exec "), std::string());
  check_in_child([&] {
    auto ran = run({"--mount", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c",
                    "for cgroup in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do\n"
                    "  mount -o remount,bind,ro $cgroup || exit 99\n"
                    "done\n" +
                        first +
                        "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all "
                        "--inh-caps=-all " PIDLEAK_BINARY_DIR "/pidleak guard --grace 0.1 -- "
                        "sh -c 'grep CapBnd /proc/self/status; sleep 600 >/dev/null 2>&1 &'; exit $?"},
                   os::find_on_path("unshare"));
    expect_equal(ran.status, 23, "status; " + ran.err);
    expect(ran.out.find("0000000000000000") != std::string::npos, "it has no rights: " + ran.out);
    expect(ran.err.find("sleep") != std::string::npos, "who remains is named: " + ran.err);
  });
}

TEST_CASE("a command that adopts its own orphans is a command as others", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  auto adopts = "import ctypes, os, sys\n"
                "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n" // PR_SET_CHILD_SUBREAPER
                "os.system('sh -c \"sleep 600 >/dev/null 2>&1 &\"')\n";
  CHECK(guard({"--grace", "0.1"}, {python(), "-c", std::string(adopts) + "os._exit(0)"}).status == 23);
  auto ends_them = "import signal\n"
                   "pid = int(open(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read())\n"
                   "os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)\n";
  CHECK(guard({"--grace", "0.1"}, {python(), "-c", std::string(adopts) + ends_them}).status == 0);
}

TEST_CASE("pg_ctl start leaves a server, and pg_ctl stop takes it away", "[guard]") {
  std::string programs;
  for (int version = 20; version > 10 && programs.empty(); --version)
    if (auto path = fmt::format("/usr/lib/postgresql/{}/bin", version); ::access((path + "/pg_ctl").c_str(), X_OK) == 0)
      programs = path;
  if (programs.empty())
    SKIP("this machine has no PostgreSQL");
  if (::geteuid() != 0)
    SKIP("only root can become the user that the server needs");
  check_in_child([&] {
    Scratch scratch;
    std::filesystem::permissions(scratch / "", std::filesystem::perms::all);
    auto as_nobody = [&](const std::string &script) {
      auto in_scratch = "cd " + scratch / "" + " && PATH=" + programs + ":$PATH && ";
      return run({"--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", in_scratch + script},
                 os::find_on_path("setpriv"));
    };
    auto made = as_nobody("initdb -N -D data >/dev/null 2>&1");
    expect_equal(made.status, 0, "status of initdb; " + made.err);
    const std::string start = "pg_ctl -D data -w -l log -o '-k . -h \"\"' start";
    auto left = as_nobody(PIDLEAK_BINARY_DIR "/pidleak guard --grace 0.2 -- " + start);
    expect_equal(left.status, 23, "status of a start; " + left.out + left.err);
    expect(left.err.find("postgres") != std::string::npos, "the server is named: " + left.err);
    // One was killed, so its file stands; the next start recovers.
    auto both = as_nobody(guard_then("sh -c \"") + "pg_ctl -D data -w -l log -o '-k . -h \\\"\\\"' start && "
                                                   "pg_ctl -D data -w -m fast stop\"");
    expect_equal(both.status, 0, "status of start and stop; " + both.out + both.err);
    expect(both.err.find("pidleak") == std::string::npos, "guard says nothing: " + both.err); // pg_ctl may
  });
}

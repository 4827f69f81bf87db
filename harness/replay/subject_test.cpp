// Subjects that can't be worked with: each gets a verdict that says why, within its bounds, and leaves nothing.
#include "harness/os/test_support.hpp"
#include "harness/replay/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>

using namespace pidleak;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string hello =
    R"(echo '{"event":"hello","protocol":1,"pool":"p","version":"1","start_methods":["fork"]}'; )";
const std::string created = "read command; echo '{\"event\":\"pool_created\"}'; ";
/// Makes a task's worker of the process that runs it.
const std::string worker = "work() { pid=$(exec sh -c 'echo $PPID'); echo "
                           "\"{\\\"event\\\":\\\"at\\\",\\\"point\\\":\\\"in-task\\\",\\\"task\\\":${2:-0},"
                           "\\\"pid\\\":${1:-$pid}}\" >\"$channel/events\"; read order <\"$channel/gate-0\"; }; "
                           "channel=$(echo \"$command\" | sed 's/.*\"channel\":\"\\([^\"]*\\)\".*/\\1/'); ";

/// For subjects that never take a step. Those before it start a shell and sed, which took more than 100 ms where both
/// processors had ten processes each.
constexpr milliseconds short_bound{1000};

/// A replay whose subject is a shell script.
reports::Report replay_script(const std::string &script, milliseconds step_bound = std::chrono::seconds(5),
                              Conditions conditions = {.workers = 1}) {
  return replay::run({.scenario = {.name = "test", .summary = "", .conditions = conditions},
                      .pool = {.name = "script", .program = "/bin/sh", .arguments = {"-c", script}},
                      .step_bound = step_bound,
                      .shutdown_patience = milliseconds(50),
                      .settle_bound = milliseconds(300)});
}

void check_broken(const reports::Report &report, const std::string &reason) {
  CHECK(spell(report.verdict) == "broken");
  CHECK_THAT(report.reason, ContainsSubstring(reason));
}

} // namespace

TEST_CASE("a subject that can't be executed", "[subject]") {
  auto report = replay::run({.pool = {.name = "none", .program = "/nonexistent/subject"}});
  check_broken(report, "/nonexistent/subject");
}

TEST_CASE("a subject that dies at its start, with what it said last", "[subject]") {
  auto report = replay_script("echo 'no libpool.so' >&2; exit 3");
  check_broken(report, "exited with 3 before it said hello");
  CHECK(report.subject_stderr == "no libpool.so\n");
}

TEST_CASE("a subject that is killed at its start", "[subject]") {
  check_broken(replay_script("kill -9 $$"), "SIGKILL");
}

TEST_CASE("a subject inherits its three streams, and nothing of the harness's", "[subject]") {
  auto report = replay_script("for fd in /proc/$$/fd/*; do readlink $fd >&2; done; exit 3");
  CHECK(testing::count(report.subject_stderr, "\n") == 3);
  CHECK(testing::count(report.subject_stderr, "pipe:[") == 3);
}

TEST_CASE("a subject that speaks another version of the protocol", "[subject]") {
  check_broken(
      replay_script(R"(echo '{"event":"hello","protocol":2,"pool":"p","version":"1","start_methods":["fork"]}'; )"
                    "cat >/dev/null"),
      "speaks version 2 of the protocol, this program version 1");
}

TEST_CASE("a subject that prints garbage", "[subject]") {
  check_broken(replay_script("echo 'Welcome to pool 1.0!'; cat >/dev/null"), "Welcome to pool 1.0!");
  check_broken(replay_script("printf '\\377\\376{\\n'; cat >/dev/null"), "\\xff\\xfe{");
  check_broken(replay_script("echo '[1]'; cat >/dev/null"), "does not speak the protocol");
  check_broken(replay_script("echo '{\"event\":\"pool_created\"}'; cat >/dev/null"), "is not hello but pool_created");
  check_broken(replay_script("echo '{\"event\":\"hello\",\"protocol\":2,\"version\":\"1\"}'; cat >/dev/null"),
               "version 2");
}

TEST_CASE("a subject that sends a line without an end", "[subject]") {
  check_broken(replay_script("exec cat /dev/zero"), "a line of more than");
}

TEST_CASE("a subject that floods the driver with messages", "[subject]") {
  check_broken(replay_script(hello + "exec yes '{\"event\":\"submitted\"}'", std::chrono::seconds(60)), "messages");
}

TEST_CASE("a subject that floods its standard error is no worse for it", "[subject]") {
  auto report = replay_script("yes noise | head -c 10000000 >&2; " + hello + created + "exit 4");
  check_broken(report, "exited with 4");
  CHECK(report.subject_stderr.size() <= 8192);
}

TEST_CASE("a subject that says nothing, or nothing more", "[subject]") {
  check_broken(replay_script("exec 3>&1 cat >/dev/null", short_bound), "did not say hello within 1000 ms");
  check_broken(replay_script(hello + "exec 3>&1 cat >/dev/null", short_bound),
               "did not create the pool within 1000 ms");
  check_broken(replay_script(hello + created + "exec 3>&1 cat >/dev/null", short_bound), "did not accept the tasks");
}

TEST_CASE("a subject that closes its streams and stays", "[subject]") {
  check_broken(replay_script("exec <&- >&- 2>&-; exec tail -f /dev/null >/dev/null", short_bound),
               "closed its standard output");
}

TEST_CASE("a subject that is stopped, or exits, is said to be, and what it was to do", "[subject]") {
  check_broken(replay_script(hello + "kill -STOP $$", short_bound),
               "did not create the pool within 1000 ms: it is stopped");
  check_broken(replay_script(hello + "read command; exit 0"), "exited with 0, and was to create the pool");
}

TEST_CASE("a worker is no helper, and is in a task that was submitted", "[subject]") {
  check_broken(replay_script(hello + created + worker +
                             "read command; work & echo '{\"event\":\"submitted\",\"workers\":['$!'],"
                             "\"helpers\":[{\"role\":\"r\",\"pid\":'$!'}]}'; cat >/dev/null"),
               "is a worker, and no helper");
  check_broken(replay_script(hello + created + worker +
                             "read command; echo '{\"event\":\"submitted\"}'; work '' 100 & cat 3>&1 >/dev/null"),
               "in task 100; 0 to 0 were submitted");
}

TEST_CASE("a subject that reports an error of its own", "[subject]") {
  check_broken(replay_script(hello + "echo '{\"event\":\"error\",\"message\":\"no semaphores\"}'; cat >/dev/null"),
               "no semaphores");
}

TEST_CASE("a subject that reports a worker that is not its own", "[subject]") {
  auto lie = [](const std::string &pid) {
    return replay_script(hello + created + worker + "read command; echo '{\"event\":\"submitted\"}'; work " + pid +
                         " & cat >/dev/null");
  };
  check_broken(lie("1"), "pid 1"); // the sandbox's init
  check_broken(lie("4194304"), "pid 4194304");
  check_broken(lie("-3"), "which is no pid");
}

TEST_CASE("a subject that runs a task in itself, or not where it says", "[subject]") {
  auto says = [](const std::string &pid, const std::string &gate, milliseconds bound) {
    return replay_script(
        hello + created +
            "channel=$(echo \"$command\" | sed 's/.*\"channel\":\"\\([^\"]*\\)\".*/\\1/'); read command; "
            "echo '{\"event\":\"submitted\"}'; (tail -f /dev/null <\"" +
            gate +
            "\") & echo "
            "\"{\\\"event\\\":\\\"at\\\",\\\"point\\\":\\\"in-task\\\",\\\"task\\\":0,\\\"pid\\\":" +
            pid + "}\" >\"$channel/events\"; cat >/dev/null",
        bound);
  };
  check_broken(says("$$", "/dev/null", std::chrono::seconds(5)), "runs a task itself: workers are processes");
  check_broken(says("$!", "/dev/null", short_bound), "says that it is in task 0, and has not opened gate-0");
}

TEST_CASE("too few processes in a task", "[subject]") {
  auto report =
      replay_script(hello + created + worker + "read command; echo '{\"event\":\"submitted\"}'; work & cat >&2",
                    short_bound, {.workers = 2});
  check_broken(report, "2 tasks were submitted, and 1 processes have said within 1000 ms that they are in one");
}

TEST_CASE("what means nothing in the protocol is told, once", "[subject]") {
  auto report = replay_script(
      hello + "echo '{\"event\":\"pool_craeted\"}'; echo '{\"event\":\"pool_craeted\"}'; cat >&2", short_bound);
  check_broken(report, "did not create the pool");
  std::vector<std::string> mistakes;
  for (const auto &event : report.timeline)
    if (event.event == "mistake")
      mistakes.push_back(event.detail);
  CHECK(mistakes == std::vector<std::string>{"there is no event \"pool_craeted\"; did you mean \"pool_created\"?"});
}

TEST_CASE("where all is traced, an answer that takes long to compute is waited for, and one that never comes is not",
          "[subject]") {
  auto computes = "read command; i=0; while [ $i -lt 1000000 ]; do i=$((i + 1)); done; "; // half a second
  auto report = replay::run(
      {.scenario = {.name = "test", .summary = "", .conditions = {.workers = 1}},
       .pool = {.name = "script",
                .program = "/bin/sh",
                .arguments = {"-c", hello + computes + created.substr(created.find("echo")) + "cat >/dev/null"}},
       .record = true});
  CHECK(spell(report.verdict) == "hung");
  CHECK_THAT(report.reason, ContainsSubstring("was to accept the tasks, and never did"));
  CHECK(report.total_ms < 30'000);
}

TEST_CASE("where tracing is refused, a replay that needs it is skipped, and one that does not is not", "[subject]") {
  testing::check_in_child([] {
    const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{.len = std::size(filter), .filter = const_cast<sock_filter *>(filter)};
    testing::expect(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
                    "a filter");
    replay::Plan plan{
        .scenario = {.name = "test", .summary = "", .conditions = {.workers = 1}},
        .pool = {.name = "script", .program = "/bin/sh", .arguments = {"-c", hello + "read command; exit 3"}}};
    auto untraced = replay::run(plan);
    testing::expect(spell(untraced.verdict) == "broken", untraced.reason);
    plan.record = true;
    auto traced = replay::run(plan);
    testing::expect(spell(traced.verdict) == "skipped" &&
                        traced.reason.find("EPERM (Operation not permitted). A container's profile, or another seccomp "
                                           "filter, may refuse it") != std::string::npos,
                    "it says: " + traced.reason);
  });
}

TEST_CASE("a start method that the pool does not offer is skipped with the reason", "[subject]") {
  Conditions spawn{.start_method = StartMethod::spawn, .workers = 1};
  auto report = replay_script(hello + "cat >/dev/null", std::chrono::seconds(5), spawn);
  CHECK(spell(report.verdict) == "skipped");
  CHECK(report.reason == "the pool does not offer spawn (start_methods: fork); try --start-method fork");
}

TEST_CASE("a script with one worker is a pool: clean if it waits for it, leaked if it does not", "[subject]") {
  auto pool = [](const std::string &shutdown) {
    return replay_script(hello + created + worker +
                         "read command; echo '{\"event\":\"submitted\"}'; work & read command; "
                         "echo '{\"event\":\"shutdown_called\"}'; " +
                         shutdown + " echo '{\"event\":\"shutdown_returned\"}'; read command");
  };
  auto clean = pool("wait;");
  INFO(clean.reason);
  CHECK(spell(clean.verdict) == "clean");
  auto ended_orphan = pool("wait; (sleep 0.05 >/dev/null 2>&1 &);");
  INFO(ended_orphan.reason);
  CHECK(spell(ended_orphan.verdict) == "clean");
  auto leaked = pool("(trap '' TERM; exec tail -f /dev/null) & ");
  INFO(leaked.reason);
  CHECK(spell(leaked.verdict) == "leaked");
  CHECK(leaked.live == 1);
}

// Servers that are shell scripts, each with one property: what the driver sees of it, says of it, and never leaves.
#include "harness/os/test_support.hpp"
#include "harness/replay/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fmt/format.h>

#include <fstream>

using namespace pidleak;
using Catch::Matchers::ContainsSubstring;
using replay::Step;

namespace {

/// Four children, each of which runs `child`, and then whatever follows.
std::string four(const std::string &child) {
  return "for i in 1 2 3 4; do (" + child + ") & pids=\"$pids $!\"; done; ";
}

/// A child that waits for nothing that could come: it reads a FIFO that it holds open itself.
const std::string stays = "exec 3<>$PIDLEAK_DIR/never; read line <&3";
/// One that holds no write end of the FIFO that its master holds: it reads the end of it with the master's death.
const std::string notices = "exec 3>&-; read line <$PIDLEAK_DIR/life";
/// The same, but that it has forgotten to close its copy.
const std::string holds_both = "read line <$PIDLEAK_DIR/life";

const std::string makes_fifos = "mkfifo $PIDLEAK_DIR/never $PIDLEAK_DIR/life; exec 3<>$PIDLEAK_DIR/life; ";
const std::string stops_children = "trap 'kill $pids; wait; exit 0' TERM; ";

replay::ServerDescription server(const std::string &script, int children = 4) {
  replay::ServerDescription server{.name = "test", .about = "a shell script"};
  server.command = {"/bin/sh", "-c", script};
  server.environment = {{"PIDLEAK_DIR", "{dir}"}};
  server.ready.children = children;
  return server;
}

replay::Plan plan_of(replay::ServerDescription server, std::vector<Step> steps, Conditions conditions) {
  replay::Plan plan{.scenario = {.name = "test",
                                 .summary = "",
                                 .conditions = conditions,
                                 .subjects = {replay::SubjectKind::server},
                                 .steps = std::move(steps),
                                 .must_show = {}},
                    .pool = {.name = "script", .program = ""},
                    .step_bound = std::chrono::seconds(20),
                    .grace = milliseconds(500)};
  plan.pool.server = std::move(server);
  return plan;
}

reports::Report stop(replay::ServerDescription server, Tasks tasks = Tasks::ended,
                     Sigterm sigterm = Sigterm::default_) {
  return replay::run(
      plan_of(std::move(server),
              {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::release_tasks, Step::settle},
              {.sigterm = sigterm, .tasks = tasks}));
}

reports::Report kill_master(replay::ServerDescription server, Tasks tasks = Tasks::ended) {
  return replay::run(
      plan_of(std::move(server),
              {Step::create_pool, Step::occupy_workers, Step::inject_fault, Step::release_tasks, Step::settle},
              {.death = Death::sigkill, .victim = Victim::owner, .tasks = tasks}));
}

std::string fact(const reports::Report &report, const std::string &condition, const std::string &name) {
  for (const auto &evidence : report.evidence)
    if (evidence.condition == condition)
      return evidence.facts.contains(name) ? evidence.facts.at(name) : evidence.text;
  return "none";
}

void check(const reports::Report &report, reports::Verdict verdict, int live, const std::string &reason) {
  if (report.verdict == reports::Verdict::skipped)
    SKIP(report.reason);
  INFO(report.reason << "\n" << report.subject_stderr);
  CHECK(spell(report.verdict) == spell(verdict));
  CHECK(report.live == live);
  CHECK_THAT(report.reason, ContainsSubstring(reason));
}

/// A description in a file of its own.
class Described {
public:
  explicit Described(const std::string &text) {
    char name[] = "/tmp/pidleak-server-XXXXXX";
    directory_ = ::mkdtemp(name);
    std::ofstream(path()) << text;
  }
  ~Described() { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/mine.json"; }

private:
  std::string directory_;
};

std::string error_of(const std::string &text) {
  Described described(text);
  try {
    replay::read_server_description(described.path());
  } catch (const std::invalid_argument &e) {
    return e.what();
  }
  return "none";
}

} // namespace

TEST_CASE("a description says what it says, with comments", "[server]") {
  Described described(R"({
    "command": ["a", "{port}"], // why
    "files": {"a.conf": ["one", "two {dir}"]}, "environment": {"X": "y"},
    "ready": {"children": "{workers}", "line": "ready"}, "port": 8000,
    "busy": {"request": "/block"}, "stop": "QUIT", "longest_timer": 7})");
  auto server = replay::read_server_description(described.path());
  CHECK(server.name == "mine");
  CHECK(server.command == replay::Words{"a", "{port}"});
  CHECK(server.files.at("a.conf") == "one\ntwo {dir}\n");
  CHECK(server.ready.children == replay::ServerReady::as_workers);
  CHECK(server.busy_by == replay::BusyBy::gate);
  CHECK(server.stop == SIGQUIT);
  CHECK(server.longest_timer == std::chrono::seconds(7)); // without the key: nothing
}

TEST_CASE("what is wrong in a description is named, with its file and key", "[server]") {
  CHECK_THAT(error_of(R"({"comand": ["a"]})"),
             ContainsSubstring("mine.json: \"comand\": not known; did you mean \"command\"?"));
  CHECK_THAT(error_of(R"({"command": ["a"], "ready": {"portt": 1}})"), ContainsSubstring("\"ready.portt\": not known"));
  CHECK_THAT(error_of(R"({"command": "a b"})"), ContainsSubstring("\"command\": must be a list of words"));
  CHECK_THAT(error_of(R"({})"), ContainsSubstring("\"command\": is missing"));
  CHECK_THAT(error_of(R"({"command": ["a"], "stop": "TREM"})"), ContainsSubstring("\"stop\": is no signal"));
  CHECK_THAT(error_of(R"({"command": ["a"], "longest_timer": -1})"), ContainsSubstring("whole number from 0 to 3600"));
  CHECK_THAT(error_of(R"({"command": ["a"], "ready": {"children": "four"}})"), ContainsSubstring("\"ready.children\""));
  CHECK_THAT(error_of(R"({"command": ["a"], "ready": {"line": "("}})"),
             ContainsSubstring("\"ready.line\": no regular"));
  CHECK_THAT(error_of(R"({"command": ["a"], "busy": {"request": "/x"}})"), ContainsSubstring("\"port\": is missing"));
  CHECK_THAT(error_of(R"({"command": ["a"], "port": 1, "busy": {"request": "slow"}})"),
             ContainsSubstring("\"busy.request\": must be a path, such as /slow"));
  CHECK_THAT(error_of(R"({"command": ["a"], "files": {"../a": ""}})"),
             ContainsSubstring("\"files.../a\": must be a path below"));
  CHECK_THAT(error_of("{\n\"command\": [\"a\",\n}"), ContainsSubstring("line 3: is no JSON"));
  CHECK_THAT(error_of(R"({"like": "none"})"), ContainsSubstring("none.json: can't be read"));
  CHECK_THAT(error_of(R"({"like": "mine"})"), ContainsSubstring("\"like\""));
}

TEST_CASE("workers that hold their own pipe open outlive their master", "[server]") {
  check(kill_master(server(makes_fifos + four(stays) + "wait")), reports::Verdict::leaked, 4,
        "4 live workers outlived");
}

TEST_CASE("workers that read the end of their master's pipe leave with it", "[server]") {
  auto report = kill_master(server(makes_fifos + four(notices) + "wait"));
  check(report, reports::Verdict::clean, 0, "after the master's death");
  CHECK_THAT(fact(report, "left", "text"), ContainsSubstring("4 of 4 workers left"));
}

TEST_CASE("the same that have not closed their copy of it do not", "[server]") {
  check(kill_master(server(makes_fifos + four(holds_both) + "wait")), reports::Verdict::leaked, 4, "outlived");
}

TEST_CASE("a master that ends its workers stops; one that ignores SIGTERM is hung", "[server]") {
  check(stop(server(makes_fifos + stops_children + four(stays) + "wait")), reports::Verdict::clean, 0, "after SIGTERM");
  check(stop(server(makes_fifos + "trap '' TERM; " + four(stays) + "wait")), reports::Verdict::hung, 4,
        "the master and 4 live workers remain");
  // Without a trap SIGTERM ends it, and nothing else.
  check(stop(server(makes_fifos + four(stays) + "wait")), reports::Verdict::leaked, 4, "outlived the master");
}

TEST_CASE("SIGTERM that was blocked at the start stays blocked", "[server]") {
  auto not_a_shell = server(""); // dash unblocks all signals at its start
  not_a_shell.command = {"perl", "-e",
                         "for (1 .. 4) { my $pid = fork; sleep unless $pid; push @pids, $pid } "
                         "$SIG{TERM} = sub { kill TERM => @pids; exit }; sleep while 1"};
  check(stop(not_a_shell), reports::Verdict::clean, 0, "after SIGTERM");
  auto report = stop(not_a_shell, Tasks::ended, Sigterm::blocked);
  check(report, reports::Verdict::hung, 4, "had not stopped");
  CHECK(fact(report, "sigterm", "subject") == "blocked");
}

TEST_CASE("a busy worker that is waited for holds the stop up until it is released", "[server]") {
  auto patient =
      server(makes_fifos + "trap 'exit 0' TERM; " + four("trap '' TERM; read line <$PIDLEAK_DIR/gate") + "wait");
  patient.busy_by = replay::BusyBy::always;
  auto report = kill_master(patient, Tasks::finish);
  check(report, reports::Verdict::clean, 0, "after the request's release");
  CHECK(fact(report, "held-up", "workers") == "4");
  check(kill_master(patient, Tasks::never_end), reports::Verdict::leaked, 4, "outlived the master");
}

TEST_CASE("a killed worker: replaced, or not, or a zombie", "[server]") {
  auto kill_worker = [](const std::string &script) {
    return replay::run(plan_of(server(script), {Step::create_pool, Step::inject_fault, Step::ask_to_stop, Step::settle},
                               {.death = Death::sigkill, .tasks = Tasks::ended}));
  };
  auto replacing = kill_worker(makes_fifos +
                               "exec perl -e '$SIG{TERM} = sub { kill TERM => keys %child; exit }; sub start "
                               "{ my $pid = fork; exec qw(/bin/sh -c), q(" +
                               stays +
                               ") unless $pid; $child{$pid} = 1 } "
                               "start for 1 .. 4; while ((my $pid = wait) > 0) { delete $child{$pid}; start }'");
  CHECK(fact(replacing, "replaced", "replaced") == "yes");
  check(replacing, reports::Verdict::clean, 0, "after SIGTERM");
  auto deaf = kill_worker(makes_fifos + "exec perl -e 'for (1 .. 4) { next if fork; exec qw(/bin/sh -c), "
                                        "q(exec 3<>$PIDLEAK_DIR/never; read line <&3) } sleep while 1'");
  CHECK(fact(deaf, "replaced", "zombie") == "yes");
  CHECK(fact(deaf, "replaced", "replaced") == "no");
  check(deaf, reports::Verdict::leaked, 3, "3 live workers outlived the master");
}

TEST_CASE("a server that is started again beside its orphans is told", "[server]") {
  auto again = [](const std::string &child) {
    return replay::run(plan_of(
        server("[ -e $PIDLEAK_DIR/life ] || " + makes_fifos + "exec 3<>$PIDLEAK_DIR/life; " + four(child) + "wait"),
        {Step::create_pool, Step::inject_fault, Step::start_again},
        {.death = Death::sigkill, .victim = Victim::owner, .tasks = Tasks::ended}));
  };
  check(again(stays), reports::Verdict::leaked, 4, "it came up again: 4 live workers from before are there");
  check(again(notices), reports::Verdict::clean, 0, "none from before is there");
}

TEST_CASE("as PID 1, a master without a handler can't be stopped", "[server]") {
  auto as_pid_1 = [](const std::string &script) {
    auto plan = plan_of(server(script), {Step::create_pool, Step::ask_to_stop, Step::settle}, {.tasks = Tasks::ended});
    plan.scenario.as_pid_1 = true;
    return replay::run(plan);
  };
  check(as_pid_1(makes_fifos + four(stays) + "wait"), reports::Verdict::hung, 4,
        "the master and 4 live workers remain");
  check(as_pid_1(makes_fifos + stops_children + four(stays) + "wait"), reports::Verdict::clean, 0, "");
}

TEST_CASE("servers that don't come up are broken, in clear words", "[server]") {
  auto words = [](const std::string &script, int children = 4) {
    auto plan = plan_of(server(script, children), {Step::create_pool}, {.tasks = Tasks::ended});
    plan.step_bound = std::chrono::seconds(2);
    auto report = replay::run(plan);
    CHECK(spell(report.verdict) == "broken");
    return report.reason;
  };
  CHECK_THAT(words("echo 'no such app' >&2; exit 3"),
             ContainsSubstring("the command exited with 3 before it was ready; the last that it wrote: no such app"));
  CHECK_THAT(words("exec sleep 100"), ContainsSubstring("not ready within 2 s: 0 of 4 workers are there"));
  auto absent = server("", 0);
  absent.command = {"pidleak-no-such-program"};
  CHECK_THAT(stop(absent).reason, ContainsSubstring("pidleak-no-such-program is not to be found on PATH"));
}

TEST_CASE("a request that is answered at once keeps no worker busy", "[server]") {
  auto quick = server("", 0);
  quick.command = {"perl", "-e",
                   "use IO::Socket::INET; $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:8000'); "
                   "while ($c = $l->accept) { 1 while ($_ = <$c>) ne qq(\\r\\n); print $c $ENV{ANSWER}; close $c }"};
  quick.port = quick.ready.port = 8000;
  quick.busy_by = replay::BusyBy::itself;
  quick.busy = "/slow";
  auto reason_for = [&](const std::string &answer) {
    quick.environment["ANSWER"] = answer;
    auto report = stop(quick, Tasks::finish);
    check(report, reports::Verdict::broken, 0, "http://127.0.0.1:8000/slow does not keep a worker busy");
    return report.reason;
  };
  CHECK_THAT(reason_for("HTTP/1.0 404 Not Found\r\n\r\nno"), ContainsSubstring("answered at once with 404 Not Found"));
  CHECK_THAT(reason_for("HTTP/1.0 503 Busy\r\n\r\n"), ContainsSubstring("it was answered with 503 Busy"));
  CHECK_THAT(reason_for(""), ContainsSubstring("the connection was closed without an answer"));
}

TEST_CASE("a server that goes into the background is judged all the same, and told", "[server]") {
  auto report = stop(server(makes_fifos + "(" + stops_children + four(stays) + "wait) &"));
  check(report, reports::Verdict::clean, 0, "after SIGTERM");
  CHECK(std::any_of(report.timeline.begin(), report.timeline.end(), [](const auto &event) {
    return event.event == "mistake" && event.detail.find("went into the background") != std::string::npos;
  }));
}

TEST_CASE("a server without workers can lose none", "[server]") {
  check(stop(server("exec sleep 100", 0)), reports::Verdict::clean, 0, "after SIGTERM");
  check(kill_master(server("exec sleep 100", 0)), reports::Verdict::invalid, 0, "it has no workers");
}

TEST_CASE("megabytes of log hold nothing up", "[server]") {
  check(stop(server(makes_fifos + stops_children + "yes | head -c 20000000; " + four(stays) + "wait")),
        reports::Verdict::clean, 0, "after SIGTERM");
}

TEST_CASE("who waits for room in the output's pipe is not stuck", "[server]") {
  // Once the master has gone, one writes more than the pipe holds, and ends: that is no leak.
  const std::string writes = "exec 3>&-; read line <$PIDLEAK_DIR/life; yes | head -c 3000000";
  check(kill_master(server(makes_fifos + four(writes) + "wait")), reports::Verdict::clean, 0,
        "after the master's death");
}

TEST_CASE("processes that come and go without end are seen as such", "[server]") {
  auto plan = plan_of(server(makes_fifos + "(while :; do yes | head -c 100000; done) & wait", 1),
                      {Step::create_pool, Step::inject_fault, Step::settle},
                      {.death = Death::sigkill, .victim = Victim::owner, .tasks = Tasks::ended});
  auto report = replay::run(plan);
  INFO(report.reason);
  CHECK(spell(report.verdict) == "leaked");
  CHECK(report.settled_by == census::SettledBy::deadline);
}

TEST_CASE("a file of a description may be in a directory of its own", "[server]") {
  auto configured = server(makes_fifos + "read word <$PIDLEAK_DIR/conf.d/a; [ $word = here ] || exit 3; " +
                           stops_children + four(stays) + "wait");
  configured.files = {{"conf.d/a", "here\n"}};
  check(stop(configured), reports::Verdict::clean, 0, "after SIGTERM");
}

TEST_CASE("what else a server leaves is told beside the verdict", "[server]") {
  auto report =
      stop(server(makes_fifos + "trap 'kill $pids; wait; exit 0' TERM; touch $TMPDIR/pymp-1; " + four(stays) + "wait"));
  check(report, reports::Verdict::clean, 0, "");
  CHECK_THAT(fact(report, "stays", "text"), ContainsSubstring("pymp-1")); // whenever it was made
  report =
      stop(server(makes_fifos + "trap 'touch $TMPDIR/pymp-2; kill $pids; wait; exit 0' TERM; " + four(stays) + "wait"));
  CHECK_THAT(fact(report, "stays", "text"), ContainsSubstring("pymp-2"));
}

TEST_CASE("SIGKILL of the harness leaves nothing of a server", "[server]") {
  auto mark = "pidleak-server-test-" + std::to_string(::getpid());
  auto file = "/tmp/" + mark;
  auto facilities = replay::find_facilities();
  auto segments = os::read_file("/proc/sysvipc/shm");
  auto plan =
      plan_of(server("for i in 1 2 3 4; do (exec -a " + mark +
                     " true; exec setsid sleep 1000) & done; ipcmk -M 4096 >&2; : >/dev/shm/" + mark + "; : >" + file +
                     "; wait"),
              {Step::create_pool, Step::occupy_workers, Step::ask_to_stop, Step::settle}, {.tasks = Tasks::ended});
  plan.scenario.conditions.sigterm = Sigterm::blocked; // it stays until it is killed
  plan.grace = std::chrono::seconds(100);
  CHECK(testing::run_in_child([&] {
          auto harness = testing::start([&] { replay::run(plan); });
          testing::wait_until([&] { return std::filesystem::exists(file); }, "the server runs");
          harness.send(SIGKILL);
          auto groups_of_it = fmt::format("-{}-", harness.pid());
          os::reap(harness);
          testing::wait_until([] { return os::reap_exited_children(); },
                              "nothing is left"); // as the subreaper of it all
          for (const auto &place : {facilities.pids, facilities.memory})
            if (!place.parent.empty())
              for (const auto &group : std::filesystem::directory_iterator(place.parent))
                testing::expect(group.path().string().find(groups_of_it) == std::string::npos, "no cgroup is left");
        }) == "");
  if (facilities.strongest != reports::Tier::subreaper) { // else it has shared memory with all others
    CHECK(!std::filesystem::exists("/dev/shm/" + mark));
    CHECK(os::read_file("/proc/sysvipc/shm") == segments);
  }
  std::filesystem::remove(file);
}

// The command line as its users meet it: what it says, where, and with which status.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

std::string report_of(const Ran &ran, const char *member) {
  return nlohmann::json::parse(ran.out).at("reports").at(0).at(member).dump();
}

} // namespace

TEST_CASE("words that are not known get a suggestion and status 2", "[cli]") {
  check_usage({"run", "incidnet"}, "there is no scenario \"incidnet\"; did you mean \"incident\"?");
  check_usage({"run", "zzz"}, "there are: ");
  check_usage({"run", "incident", "--pool", "hardend"}, "did you mean \"hardened\"?");
  check_usage({"run", "incident", "--start-method", "frok"}, "did you mean \"fork\"?");
  check_usage({"run", "incident", "--sigterm", "ignore"}, "did you mean \"ignored\"?");
  check_usage({"run", "incident", "--oom", "fake"}, "real, sigkill");
  check_usage({"run", "incident", "--require-tier", "namespaces"}, "did you mean \"namespace\"?");
  check_usage({"rum"}, "there is no command \"rum\"; did you mean \"run\"?");
  check_usage({"run"}, "SCENARIO");
  check_usage({}, "there are: list, run, sweep, compare");
}

TEST_CASE("numbers that make no sense are refused before anything starts", "[cli]") {
  for (const char *workers : {"0", "-1", "257", "99999999999999999999", "four", ""})
    check_usage({"run", "incident", "--workers", workers}, "--workers");
  check_usage({"run", "incident", "--repeat", "0"}, "--repeat");
  check_usage({"run", "incident", "--jobs", "0"}, "--jobs");
  check_usage({"run", "incident", "--expected", "--workers", "5"}, "--expected");
}

TEST_CASE("a report that can't be written is found before the replay starts", "[cli]") {
  for (const char *path : {"/nonexistent/leak.json", "/proc/leak.json", "/"}) {
    auto ran = run({"run", "incident", "--report", path});
    CHECK(ran.status == 2);
    CHECK(ran.out == "");
    CHECK_THAT(ran.err, StartsWith(std::string("pidleak: --report ") + path + ": can't be written"));
  }
}

TEST_CASE("the exit status is the verdict's", "[cli]") {
  auto status = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"run", "incident", "--oom=sigkill"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments).status;
  };
  CHECK(status({"--pool", "hardened"}) == 0);
  CHECK(status({"--pool", "cpython36"}) == 1);
  CHECK(status({"--pool", "cpython312"}) == 1);
  CHECK(status({"--pool", "hardened,cpython36"}) == 1);
  CHECK(status({"--pool", "cpython36", "--expected"}) == 0);
  CHECK(status({"--pool", "exec:false"}) == 5);
  CHECK(status({"--pool", "exec:/nonexistent"}) == 2);
}

TEST_CASE("a pool may come before the scenario, and each option takes one value", "[cli]") {
  CHECK(run({"run", "--pool", "hardened", "--start-method", "fork", "incident", "--oom=sigkill"}).status == 0);
}

TEST_CASE("with --json the report goes to standard output and nothing else does", "[cli]") {
  auto ran = run({"run", "incident", "--oom=sigkill", "--pool", "cpython36", "--json"});
  CHECK(ran.status == 1);
  CHECK(ran.err == "");
  CHECK(report_of(ran, "verdict") == "\"leaked\"");
  CHECK_THAT(report_of(ran, "evidence"), ContainsSubstring("a plain SIGKILL stood in for the OOM kill"));
}

TEST_CASE("a pipe's reader that leaves early does no harm", "[cli]") {
  auto ran = run({"-c", PIDLEAK_BINARY_DIR "/pidleak run all --oom=sigkill --pool hardened | head -c 1 >/dev/null; "
                                           "exit ${PIPESTATUS[0]}"},
                 "/bin/bash");
  CHECK(ran.status == 0);
}

TEST_CASE("help has examples, and the version is told", "[cli]") {
  for (std::vector<std::string> arguments : {std::vector<std::string>{"--help"}, {"run", "--help"}}) {
    auto ran = run(arguments);
    CHECK(ran.status == 0);
    CHECK_THAT(ran.out, ContainsSubstring("Examples:"));
  }
  CHECK_THAT(run({"--version"}).out, StartsWith("pidleak "));
}

TEST_CASE("list names every scenario, condition and preset", "[cli]") {
  auto ran = run({"list"});
  CHECK(ran.status == 0);
  for (const char *word : {"incident", "oom-killed-child", "inherited-sigterm-handler", "full-queue-shutdown",
                           "fork-vs-spawn", "--sigterm", "count-first", "cpython312", "hardened"})
    CHECK_THAT(ran.out, ContainsSubstring(word));
}

TEST_CASE("what the parser refuses is told with the verb, the option and what may have been meant", "[cli]") {
  check_usage({}, "no command given; there are: list, run,");
  check_usage({"run", "incident", "--pol", "hardened"}, "pidleak run: The following argument was not expected: --pol");
  check_usage({"run", "incident", "--pol", "hardened"}, "did you mean --pool?");
  check_usage({"run", "incident", "--nothing-like-it"}, "--nothing-like-it\nRun pidleak run --help");
  check_usage({"report", "diff", "one.json"}, "pidleak report diff: AFTER is required");
  check_usage({"guard", "--tier", "namespce", "--", "true"},
              "--tier: namespce is not known; did you mean \"namespace\"?");
  check_usage({"run", "incident", "--workers", "2.5"}, "--workers: 2.5 is not a whole number");
  for (const char *time : {"10x", "nan", "1e400", "", "s"})
    check_usage({"guard", "--timeout", time, "--", "true"}, "is not a number");
}

TEST_CASE("a time may have its unit", "[cli]") {
  for (const char *time : {"0.05", "50ms", "0.05s", "0.001m"})
    CHECK(run({"guard", "--timeout", time, "--", "sleep", "600"}).status == 124);
}

TEST_CASE("doctor tells what this machine offers and what runs at which tier", "[cli]") {
  auto ran = run({"doctor"});
  CHECK(ran.status == 0);
  for (const char *word : {"cgroup", "namespace", "incident"})
    CHECK_THAT(ran.out, ContainsSubstring(word));
  for (const char *source : {"own /proc", "lists of children", "pidfds", "calls of others", "descriptors of others"})
    CHECK_THAT(ran.out, Catch::Matchers::Matches("[^]*\\n  " + std::string(source) + " +yes\\n[^]*"));
}

TEST_CASE("doctor does not take a masked file for an answer", "[cli]") {
  if (::geteuid() != 0)
    SKIP("mounting is for root");
  auto doctor = [](const std::string &mount) {
    return run({"-m", "/bin/sh", "-c", mount + PIDLEAK_BINARY_DIR "/pidleak doctor"}, os::find_on_path("unshare")).out;
  };
  CHECK_THAT(doctor(""), Catch::Matchers::Matches("[^]*\\n  alarms visible +yes\\n[^]*"));
  CHECK_THAT(doctor("mount --bind /dev/null /proc/timer_list; "),
             Catch::Matchers::Matches("[^]*\\n  alarms visible +no +/proc/timer_list is for root, masked[^]*"));
}

TEST_CASE("an ordinary user replays at a lower tier, and does without a real OOM kill", "[cli]") {
  if (::geteuid() != 0)
    SKIP("only root can become an ordinary user");
  auto as_nobody = [](const std::string &arguments) {
    return run({"--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c",
                std::string(PIDLEAK_BINARY_DIR) + "/pidleak " + arguments},
               os::find_on_path("setpriv"));
  };
  if (as_nobody("--version").status != 0)
    SKIP("the build directory is closed to other users");
  auto handler = as_nobody("run inherited-sigterm-handler --pool hardened --oom=sigkill");
  CHECK(handler.status == 0);
  CHECK_THAT(handler.out, ContainsSubstring("no cgroup to cap and cross-check"));
  auto oom = as_nobody("run oom-killed-child --pool hardened");
  CHECK(oom.status == 4);
  CHECK_THAT(oom.out, ContainsSubstring("no memory cgroup for a real OOM kill"));
  CHECK(as_nobody("run oom-killed-child --pool hardened --oom=sigkill").status == 0);
  auto strict = as_nobody("run incident --pool hardened --require-tier namespace-cgroup");
  CHECK(strict.status == 4);
  CHECK_THAT(strict.err, ContainsSubstring("tier namespace-cgroup is required"));
}

TEST_CASE("every tier comes to the same verdicts", "[cli][once]") {
  for (const char *tier : {"subreaper", "namespace"}) {
    INFO(tier);
    CHECK(run({"run", "all", "--expected", "--oom=sigkill", "--tier", tier}).status == 0);
  }
}

TEST_CASE("the minimal adapter of the guide passes, and a faulty one is told what is wrong", "[cli][once]") {
  auto python = os::find_on_path("python3");
  if (python.empty())
    SKIP("this machine has no python3");
  auto minimal = run({"check-adapter", python, PIDLEAK_BINARY_DIR "/adapters/minimal.py"});
  INFO(minimal.out << minimal.err);
  CHECK(minimal.status == 0);
  CHECK_THAT(minimal.out, ContainsSubstring("nothing wrong was found"));
  auto wrong = run({"check-adapter", "/bin/sh", "-c",
                    "echo '{\"event\":\"hello\",\"protocol\":1,\"pool\":\"p\",\"version\":\"1\",\"start_methods\":"
                    "[\"fork\"],\"longest_timer\":99999}'; exec 3>&1; read command; exit 3"});
  CHECK(wrong.status == 1);
  CHECK_THAT(wrong.out, ContainsSubstring("exited with 3, and was to create the pool"));
  CHECK_THAT(wrong.out, ContainsSubstring("longest_timer: 99999 is not within 0 and 3600"));
}

TEST_CASE("with --stacks the calls of the remaining processes are shown, and without it no process is stopped for them",
          "[cli]") {
  if (::access(PIDLEAK_BINARY_DIR "/pidleak-stack", X_OK) != 0)
    SKIP("built without elfutils");
  const std::vector<std::string> replay = {"run", "incident", "--pool", "cpython312", "--oom=sigkill", "--json"};
  auto without = run(replay);
  CHECK(without.out.find("join_workers") == std::string::npos);
  auto arguments = replay;
  arguments.emplace_back("--stacks");
  auto report = nlohmann::json::parse(run(arguments).out)["reports"][0];
  INFO(report.dump(1));
  CHECK(report["owner"].dump().find("join_workers") != std::string::npos);
  for (const auto &process : report["remaining"])
    if (process["state"] != "zombie")
      CHECK_FALSE(process["waits"][0]["stack"].empty());
}

TEST_CASE("pools of any size are replayed", "[cli][once]") {
  for (int workers : {1, 16, 64}) {
    INFO(workers);
    auto count = std::to_string(workers);
    CHECK(run({"run", "incident", "--pool", "hardened", "--workers", count, "--oom=sigkill"}).status == 0);
    auto ran = run({"run", "incident", "--pool", "cpython36", "--workers", count, "--oom=sigkill", "--json"});
    CHECK(nlohmann::json::parse(ran.out)["reports"][0]["counts"]["live"] == workers - 1); // all but the victim
  }
}

namespace {

/// A shell starts a long run, lets five replays through the gate, and sends the signal when the sixth waits there.
Ran interrupted(const std::string &signal, const TemporaryDirectory &directory) {
  return run(
      {"-c", "cd " + directory.path() +
                 "; mkfifo begun gate; exec 3<>begun 4<>gate; printf '#!/bin/sh\\necho >%s/begun; read line <%s/gate; "
                 "exec %s/pidleak-subject\\n' \"$PWD\" \"$PWD\" '" PIDLEAK_BINARY_DIR
                 "' >subject; chmod +x subject; '" PIDLEAK_BINARY_DIR
                 "/pidleak' run incident --pool exec:./subject --repeat 1000 --report r.json >out & "
                 "for i in 1 2 3 4 5; do read line <&3; echo >&4; done; read line <&3; kill -" +
                 signal + " $!; wait $!; echo status $?; cat out"},
      "/bin/bash");
}

} // namespace

TEST_CASE("an interrupted run reports what it has done", "[cli]") {
  for (const auto &[signal, status] :
       {std::pair<std::string, int>("INT", 130), std::pair<std::string, int>("TERM", 143)}) {
    TemporaryDirectory directory;
    auto ran = interrupted(signal, directory);
    CHECK_THAT(ran.out, ContainsSubstring(fmt::format("status {}", status)));
    CHECK_THAT(ran.out, ContainsSubstring(fmt::format("interrupted by SIG{}: ", signal)));
    auto document = nlohmann::json::parse(os::read_file(directory / "r.json"));
    CHECK(document["reports"].size() == 5);
  }
}

TEST_CASE("a file called - is standard output, and what people read goes to standard error then", "[cli]") {
  auto ran = run({"run", "incident", "--pool", "hardened", "--report", "-"});
  CHECK(ran.status == 0);
  CHECK(nlohmann::json::parse(ran.out)["reports"].size() == 1);
  CHECK_THAT(ran.err, ContainsSubstring("1 replay: 1 clean"));
  CHECK(!std::filesystem::exists("-"));
  check_usage({"run", "incident", "--report", "-", "--html", "-"}, "name the same file: /dev/stdout");
}

TEST_CASE("a run that skipped something passes, unless that is to fail", "[cli]") {
  auto python = os::find_on_path("python3");
  if (python.empty())
    SKIP("no python3 for the example adapter");
  std::vector<std::string> some_are_skipped = {"run", "oom-killed-child", "owner-killed", "--pool",
                                               "exec:" + python + " " PIDLEAK_BINARY_DIR "/adapters/minimal.py"};
  auto ran = run(some_are_skipped);
  CHECK_THAT(ran.out, ContainsSubstring(" clean, "));
  CHECK_THAT(ran.out, ContainsSubstring(" skipped"));
  auto strict = some_are_skipped;
  strict.emplace_back("--fail-on-skip");
  CHECK(std::pair(ran.status, run(strict).status) == std::pair(0, 4));
}

TEST_CASE("a replay of a real pool tells who created what remains, and one of a preset, which is known, does not",
          "[cli]") {
  auto python = os::find_on_path("python3");
  if (python.empty() || !is_told_of_tasks())
    SKIP("no python3, or the kernel tells this user of no forks");
  auto adapter = PIDLEAK_BINARY_DIR "/adapters/python_executor.py";
  auto report_of = [](const std::string &pool) {
    auto ran = run({"run", "killed-holding-the-lock", "--pool", pool, "--oom", "sigkill", "--json"});
    return nlohmann::json::parse(ran.out).at("reports").at(0);
  };
  auto real = report_of(fmt::format("exec:{} {}", python, adapter));
  if (real.at("verdict") == "skipped")
    SKIP(real.at("reason").get<std::string>());
  CHECK(real.at("genealogy").at("state") == "complete");
  for (const auto &process : real.at("remaining")) {
    CHECK(process.at("created_by").back().at("command_line").back() == adapter);
    auto started_at = process.at("forked_at").dump(); // the pool's own line, and the one that asked for it
    CHECK_THAT(started_at, ContainsSubstring("concurrent/futures/process.py:"));
    CHECK_THAT(started_at, ContainsSubstring("python_executor.py:"));
  }
  CHECK(report_of("cpython312").at("genealogy").is_null());
}

TEST_CASE("a server of one's own: what can't be replayed is refused before anything is started", "[cli]") {
  check_usage({"run", "graceful-stop", "--serve", "pidleak-no-such-program"}, "can't be executed: not found");
  check_usage({"run", "graceful-stop", "--serve", "pidleak-none | cat"}, "what needs a shell is: sh -c");
  check_usage({"run", "graceful-stop", "--serve", ""}, "names no command");
  check_usage({"run", "graceful-stop", "--serve", "sleep 1", "--busy", "/slow"}, "on which port?");
  check_usage({"run", "graceful-stop", "--serve", "sleep 1", "--busy", "http://example.org/"}, "must be on 127.0.0.1");
  check_usage({"run", "graceful-stop", "--serve", "sleep 1", "--stop", "TREM"}, "not a signal");
  check_usage({"run", "graceful-stop", "--serve", "sleep 1", "--ready-line", "("}, "--ready-line");
  check_usage({"run", "graceful-stop", "--serve", "sleep 1", "--ready-port", "1", "--jobs", "2"}, "not with --jobs");
  check_usage({"run", "graceful-stop", "--ready-port", "8000"}, "--ready-port is for --serve");
  check_usage({"run", "graceful-stop", "--pool", "server:gunicron"}, "did you mean \"gunicorn\"?");
  check_usage({"run", "graceful-stop", "--pool", "server:./none.json"}, "./none.json: can't be read");
}

TEST_CASE("a server of one's own that stops, and one that does not", "[cli]") {
  auto stop = [](const std::string &action) {
    return run({"run", "graceful-stop", "--grace", "0.2", "--workers", "1", "--serve",
                "sh -c 'sleep 1000 & trap \"" + action + "\" TERM; wait; wait'"});
  };
  auto stops = stop("kill $!; exit");
  CHECK(stops.status == 0);
  auto deaf = stop(":");
  CHECK(deaf.status == 1);
  CHECK_THAT(deaf.out, ContainsSubstring("after SIGTERM: the master and 1 live worker remain"));
  auto late =
      run({"run", "graceful-stop", "--ready-within", "0.2", "--ready-line", "listening", "--serve", "sleep 1000"});
  CHECK(late.status == 5);
  CHECK_THAT(late.out, ContainsSubstring("no line of its output matches \"listening\", and it has written nothing"));
}

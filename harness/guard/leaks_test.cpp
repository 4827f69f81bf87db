// What a command leaves is found, told and ended; and the options about that.
#include "harness/guard/guard_test_support.hpp"
#include "scenarios/cases.hpp"
#include "workers/specimens/specimen.hpp"

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using specimens::Specimen;

namespace {

const std::string specimen_program = PIDLEAK_BINARY_DIR "/pidleak-specimen";
const std::string leave_a_sleep = "sleep 600 >/dev/null 2>&1 &";

/// A cause for each process that remains.
std::size_t count_of_remaining(const Specimen &specimen) {
  return 1 + static_cast<std::size_t>(std::count(specimen.causes.begin(), specimen.causes.end(), ','));
}

/// In a subreaper: a process that had got away would be a child of it by now.
void check(const Specimen &specimen) {
  check_in_child([&] {
    Scratch scratch;
    ::setenv("TMPDIR", (scratch / "").c_str(), 1);
    bool hangs = specimen.verdict == "hung", leaks = specimen.verdict == "leaked";
    auto options = std::vector<std::string>{"--grace", leaks ? "0.3" : "20", "--report", scratch / "report.json"};
    if (hangs)
      options.insert(options.end(), {"--timeout", "0.3"});
    auto ran = guard(options, {specimen_program, specimen.name});
    expect_equal(ran.status, hangs ? 124 : leaks ? 23 : 0, "status; " + ran.err);
    expect(os::reap_exited_children(), "no child is left");
    if (!hangs)
      expect_equal(scratch.report().at("remaining").size(), leaks ? count_of_remaining(specimen) : 0, "remaining");
  });
}

const bool leaks_added = [] {
  for (const auto &specimen : specimens::all())
    cases::add(fmt::format("guard finds that specimen {} is {}", specimen.name, specimen.verdict),
               {"guard", "guard-specimen", "once"}, [=] { check(specimen); });
  return true;
}();

} // namespace

TEST_CASE("every specimen at once: none is missed", "[guard]") {
  std::vector<std::string> command = {specimen_program};
  std::size_t wanted = 0;
  for (const auto &specimen : specimens::all())
    if (specimen.verdict == "leaked") {
      command.push_back(specimen.name);
      wanted += count_of_remaining(specimen);
    }
  CHECK(command.size() > 60);
  check_in_child([&] {
    Scratch scratch;
    ::setenv("TMPDIR", (scratch / "").c_str(), 1);
    auto ran = guard({"--grace", "1", "--report", scratch / "report.json"}, command);
    expect_equal(ran.status, 23, "status");
    expect(os::reap_exited_children(), "no child is left");
    auto report = scratch.report();
    expect_equal(report.at("remaining").size(), wanted, "remaining");
    expect(report.at("census").at("complete").get<bool>(), "the census is complete");
  });
}

TEST_CASE("more may remain than this process may open descriptors", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto ran = shell(fmt::format("ulimit -n 300; exec " PIDLEAK_BINARY_DIR "/pidleak guard --grace 0.1 --report {} -- "
                                 "sh -c 'for i in $(seq 400); do {} done'",
                                 scratch / "report.json", leave_a_sleep));
    expect_equal(ran.status, 23, "status; " + ran.err);
    expect(os::reap_exited_children(), "no child is left");
    expect_equal(scratch.report().at("remaining").size(), 400U, "remaining");
  });
}

TEST_CASE("what remains is told on standard error and in the report, and ended", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    // Time enough for the program to come to its sleep, on a busy machine as well.
    auto ran = guard_shell({"--grace", "2", "--report", scratch / "report.json"}, leave_a_sleep + " echo out");
    expect_equal(ran.status, 23, "status");
    expect_equal(ran.out, "out\n", "output");
    for (const char *word : {"a process outlived the command", "sleep 600", "ended"})
      expect(ran.err.find(word) != std::string::npos, std::string(word) + " is in " + ran.err);
    expect(os::reap_exited_children(), "no child is left");
    auto report = scratch.report();
    expect_equal(report.at("verdict").get<std::string>(), "leaked", "verdict");
    expect_equal(report.at("remaining").at(0).at("diagnosis").at(0).at("cause").get<std::string>(), "timer", "cause");
  });
}

TEST_CASE("the command's own failure is guard's status, and the leak is told all the same", "[guard]") {
  auto ran = guard_shell({"--grace", "0.1"}, leave_a_sleep + " exit 3");
  CHECK(ran.status == 3);
  CHECK_THAT(ran.err, ContainsSubstring("outlived the command"));
}

TEST_CASE("option --error-exitcode is the status of a leak", "[guard]") {
  CHECK(guard_shell({"--grace", "0.1", "--error-exitcode", "99"}, leave_a_sleep).status == 99);
  CHECK(guard_shell({"--grace", "0.1", "--error-exitcode", "0"}, leave_a_sleep).status == 0);
  CHECK(guard_shell({"--error-exitcode", "99"}, "true").status == 0);
}

TEST_CASE("option --keep leaves alone what remains", "[guard]") {
  check_in_child([] {
    auto ran = guard_shell({"--grace", "0.1", "--keep"}, leave_a_sleep + " echo $!");
    expect_equal(ran.status, 23, "status");
    auto kept = os::ProcessRef::open(std::stoi(ran.out));
    expect(kept && !kept->has_exited(), "it lives");
    kept->send(SIGKILL);
  });
}

TEST_CASE("a suppressed process may remain: it is told, left alone, and no leak", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    scratch.write("rules.json", R"({"suppressions": [{"comm": "sleep", "reason": "it goes with the machine"}]})");
    auto options = std::vector<std::string>{"--grace", "0.1", "--suppressions", scratch / "rules.json"};
    auto ran = guard_shell(options, leave_a_sleep + " echo $!");
    expect_equal(ran.status, 0, "status");
    expect(ran.err.find("it goes with the machine") != std::string::npos, ran.err);
    auto kept = os::ProcessRef::open(std::stoi(ran.out));
    expect(kept && !kept->has_exited(), "it lives");
    kept->send(SIGKILL);
    auto mixed = guard_shell(options, leave_a_sleep + " cat /dev/zero >/dev/null 2>&1 & echo $!");
    expect_equal(mixed.status, 23, "status");
  });
}

TEST_CASE("option --timeout sends SIGTERM, and SIGKILL to who does not go", "[guard]") {
  auto goes = guard_shell({"--timeout", "0.2"}, "trap 'echo terminated; exit 0' TERM; while :; do :; done");
  CHECK(goes.status == 124);
  CHECK(goes.out == "terminated\n");
  auto stays = guard_shell({"--timeout", "0.2", "-k", "0.2"}, "trap '' TERM; while :; do :; done");
  CHECK(stays.status == 124);
  CHECK_THAT(stays.err, ContainsSubstring("ended after 0.2 s; nothing is left"));
  auto leaves = guard_shell({"--timeout", "0.2", "--grace", "0.1"}, "sleep 600 >/dev/null 2>&1 & exec sleep 600");
  CHECK(leaves.status == 124);
  CHECK_THAT(leaves.err, ContainsSubstring("the command was ended after 0.2 s; a process outlived the command"));
  CHECK(guard_shell({"--timeout", "60"}, "exit 4").status == 4);
}

TEST_CASE("who leaves within the grace is no leak", "[guard]") {
  CHECK(guard_shell({"--grace", "20"}, "sleep 0.3 >/dev/null 2>&1 &").status == 0);
}

TEST_CASE("children from before are not the command's, nor are theirs", "[guard]") {
  check_in_child([] {
    auto ran =
        shell("(sleep 600; true) >/dev/null 2>&1 & sleep 600 >/dev/null 2>&1 & exec " + guard_then("sh -c 'exit 0'"));
    expect_equal(ran.status, 0, "status");
    expect_equal(ran.err, "", "what guard says");
  });
}

TEST_CASE("a chain of forks that never rests is told, and ended without any grace", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto ran =
        guard({"--grace", "3600", "--report", scratch / "report.json"}, {specimen_program, specimens::fork_option});
    expect_equal(ran.status, 23, "status; " + ran.err);
    expect(os::reap_exited_children(), "no child is left");
    expect(ran.err.find("not all") == std::string::npos, "all were ended");
    auto report = scratch.report();
    expect(!report.at("remaining").empty(), "one is named");
    auto why = report.at("not_quiescent_because").get<std::string>();
    expect(why.find("keeps forking") != std::string::npos, "and said to keep forking, not: " + why);
  });
}

TEST_CASE("who starts many others until it is done is no chain of forks", "[guard]") {
  CHECK(guard_shell({"--grace", "60"}, "(for i in $(seq 300); do (exec /bin/true &) done) >/dev/null 2>&1 &").status ==
        0);
}

TEST_CASE("beside a chain of forks the time limit holds, and the command's end is seen", "[guard]") {
  auto beside = std::string(specimen_program) + " " + specimens::fork_option + " & ";
  CHECK(guard_shell({"--timeout", "0.2"}, beside + "exec sleep 600").status == 124);
  CHECK(guard_shell({}, beside + "exit 3").status == 3);
}

// What guard tells of a process that it finds: what it is and costs, what it waits for, and for whom. Each kind with a
// twin of which the same must not be said.
#include "harness/guard/guard_test_support.hpp"

#include <fmt/ranges.h>
#include <sys/syscall.h>

using namespace pidleak;
using namespace pidleak::testing;
using nlohmann::json;

namespace {

/// What is said of the only process that remains of the script.
json attributes_of(const std::string &script, const std::string &name) {
  Scratch scratch;
  return process_named(report_on(script, scratch).at("remaining"), name).at("attributes");
}

const std::string sleeps = "sleep 600 >/dev/null 2>&1 &";

} // namespace

TEST_CASE("a lock that a daemon has inherited is told, with the process that waits for it", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("exec 9>$1/lock; flock 9; " + sleeps + " exec 9>&-; flock $1/lock true &", scratch);
    const auto &holder = process_named(report.at("remaining"), "sleep");
    expect_part(holder.at("attributes").at("locks").dump(), "flock ");
    auto waits = first_finding(process_named(report.at("remaining"), "flock"));
    expect_part(waits, "waits-for-lock: it waits in flock for the lock on ");
    expect_part(waits, fmt::format("held by: pid {} (sleep)", holder.at("pid").get<int>()));
  });
  check_in_child([] {
    auto twin = attributes_of("exec 9>$1/lock; " + sleeps, "sleep");
    expect(twin.at("locks").empty(), "the file is open, and not locked");
  });
}

TEST_CASE("who opens a FIFO for ever is told which", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto left = report_on("mkfifo $1/log; cat $1/log & ", scratch);
    expect_part(first_finding(left.at("remaining").at(0)), "another process to open the other end of FIFO ");
  });
  check_in_child([] {
    Scratch scratch; // a name that is gone is gone for every process; the reader must have got it first
    auto left = report_on("mkfifo $1/log; cat $1/log & "
                          "until grep -q wait_for_partner /proc/$!/wchan || grep -q 257 /proc/$!/syscall; do :; done; "
                          "rm $1/log",
                          scratch);
    expect_part(first_finding(left.at("remaining").at(0)), "(deleted): no process can");
  });
}

TEST_CASE("what a process listens on is told", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  auto listen = [](const std::string &more) {
    return fmt::format("{} -c 'import socket, signal; a = socket.socket(); a.bind((\"127.0.0.1\", 0)); {}; "
                       "print(a.getsockname()[1], file=open(\"'$1'/port\", \"w\"), flush=True); signal.pause()' & "
                       "until [ -s $1/port ]; do :; done",
                       python(), more);
  };
  check_in_child([&] {
    Scratch scratch;
    auto report = report_on(listen("a.listen()"), scratch);
    auto port = scratch.text_of("port");
    expect_equal(report.at("remaining").at(0).at("attributes").at("listens").dump(),
                 fmt::format("[\"tcp 127.0.0.1:{}\"]", port.substr(0, port.find('\n'))), "listens");
  });
  check_in_child([&] {
    Scratch scratch;
    auto report = report_on(listen("pass"), scratch);
    expect(report.at("remaining").at(0).at("attributes").at("listens").empty(), "it is bound, and does not listen");
  });
}

TEST_CASE("what a process is called, runs, and where, is told", "[guard]") {
  check_in_child([] {
    auto named = attributes_of("bash -c 'exec -a postgres " + sleeps + "'", "sleep");
    expect(named.at("name_lies").get<bool>(), "it is called postgres, and runs sleep");
    auto titled = attributes_of("bash -c 'exec -a \"sleep: for long\" " + sleeps + "'", "sleep");
    expect(!titled.at("name_lies").get<bool>(), "it is called by its name, with more behind it");
    auto gone = attributes_of("mkdir $1/gone; cd $1/gone; " + sleeps + " rmdir $1/gone", "sleep");
    expect(gone.at("directory_deleted").get<bool>(), "its directory was deleted");
    expect_part(gone.at("directory").get<std::string>(), "/gone");
    auto plain = attributes_of(sleeps, "sleep");
    expect(!plain.at("name_lies").get<bool>(), "it is called by its name");
    expect_equal(plain.at("directory").get<std::string>(), "", "the caller's own directory");
    expect(plain.at("outputs").empty(), "it holds no output of the command's");
  });
}

TEST_CASE("a process that keeps the command's output is told: what reads it waits", "[guard]") {
  check_in_child([] {
    auto left = attributes_of("sleep 600 &", "sleep");
    expect_equal(left.at("outputs").dump(), R"(["stdout","stderr"])", "outputs");
  });
}

TEST_CASE("a process that computes has had a CPU, and one that sleeps has not", "[guard]") {
  check_in_child([] {
    auto computes = attributes_of("(while :; do :; done) & ", "sh");
    auto waits = attributes_of(sleeps, "sleep");
    auto cpu_ms = [](const auto &process) { return process.at("cpu_ms").template get<double>(); };
    expect(cpu_ms(computes) > cpu_ms(waits), computes.dump() + waits.dump()); // on a busy machine, not by much
    expect(waits.at("age_ms").get<double>() >= 900, waits.dump());
    expect(waits.at("rss_kib").get<long>() > 0, waits.dump());
  });
}

TEST_CASE("a command that hangs is told as it was before the first signal", "[guard]") {
  check_in_child([] {
    Scratch scratch;
    auto report =
        report_on("out=$(sleep 600 2>/dev/null & echo started); echo \"$out\"", scratch, {"--timeout", "0.5"});
    const auto &hung = report.at("at_timeout");
    expect_equal(hung.at(0).at("comm").get<std::string>(), "sleep", "what keeps it comes first");
    expect(hung.at(0).at("is_root").get<bool>() && !hung.at(1).at("is_root").get<bool>(), "it waits for no other");
    for (const auto &creator : hung.at(0).at("created_by"))
      expect(creator.at("pid") != hung.at(1).at("pid") || creator.at("ended_ms").is_null(), "the command runs then");
    expect_equal(hung.at(1).at("comm").get<std::string>(), "sh", "then the command");
    expect_part(first_finding(hung.at(1)), "its write end is open in: ");
    expect_part(first_finding(hung.at(1)), "(sleep)");
    expect_equal(report.at("remaining").size(), 1U, "left");
  });
  check_in_child([] {
    Scratch scratch;
    expect(report_on("true", scratch, {"--timeout", "20"}).at("at_timeout").empty(), "it has ended in time");
  });
  check_in_child([] { // nothing is left, and the command is named all the same
    auto ran = run({"guard", "--timeout", "0.2", "--", "sleep", "600"});
    expect_part(ran.err, "pidleak guard: sleep 600: the command was ended after 0.2 s; nothing is left");
  });
}

namespace {

/// `sh -c ... <- make`, without the script itself.
std::vector<std::string> creators_of(const json &process) {
  std::vector<std::string> creators;
  for (const auto &creator : process.at("created_by"))
    creators.push_back(fmt::format("{}{}", fmt::join(creator.at("command_line").get<std::vector<std::string>>(), " "),
                                   creator.at("ended_ms").is_null() ? "" : " (ended)"));
  return creators;
}

} // namespace

TEST_CASE("all that have led to a process are told, the dead included", "[guard]") {
  if (!is_told_of_tasks())
    SKIP("the kernel tells this user of no forks");
  check_in_child([] {
    Scratch scratch;
    // Each lives for a moment: what ends at once may be told by its name alone.
    auto report =
        report_on("sh -c 'setsid sh -c \"sh -c \\\"sleep 600 & sleep 0.3\\\"; sleep 0.3\" & sleep 0.3'", scratch);
    expect_equal(report.at("genealogy").at("state").get<std::string>(), std::string("complete"), "genealogy");
    auto creators = creators_of(process_named(report.at("remaining"), "sleep"));
    expect_equal(creators.size(), 4U, fmt::format("creators: {}", fmt::join(creators, " <- ")));
    expect_equal(creators[0], std::string("sh -c sleep 600 & sleep 0.3 (ended)"), "its parent");
    expect_part(creators[1], "sh -c sh -c \"sleep 600");
    expect_part(creators[2], "sh -c setsid sh -c");
    expect_part(creators[3], "/bin/sh -c sh -c 'setsid");
  });
}

TEST_CASE("a chain that is alive is told without ends, and guard without options tells it as well", "[guard]") {
  if (!is_told_of_tasks())
    SKIP("the kernel tells this user of no forks");
  check_in_child([] {
    Scratch scratch;
    auto report = report_on("sh -c 'sleep 600; true' >/dev/null 2>&1 &", scratch);
    auto creators = creators_of(process_named(report.at("remaining"), "sleep"));
    expect_equal(creators.at(0), std::string("sh -c sleep 600; true"), "it waits for it");
  });
  auto ran = run({"guard", "--", "/bin/sh", "-c", sleeps});
  CHECK(ran.err.find("created by: /bin/sh -c " + sleeps + " (ended at ") != std::string::npos);
  CHECK(testing::count(ran.err, "remains") == 1); // not who looks at it as well
}

TEST_CASE("where the kernel tells nothing of forks the report says so, and all else is told", "[guard]") {
  check_in_child([] {
    deny(SYS_perf_event_open, EPERM);
    Scratch scratch;
    auto report = report_on(sleeps, scratch);
    expect_equal(report.at("genealogy").at("state").get<std::string>(), std::string("none"), "genealogy");
    expect_part(report.at("genealogy").at("lacks").get<std::string>(), "perf_event_open");
    expect(process_named(report.at("remaining"), "sleep").at("created_by").empty(), "no creator is told");
    expect_part(run({"guard", "--", "/bin/sh", "-c", sleeps}).err, "\n  creators  not known: perf_event_open");
  });
}

TEST_CASE("a program that hands work to a daemon is told of, and no other", "[guard]") {
  if (!is_told_of_tasks())
    SKIP("the kernel tells this user of no forks");
  check_in_child([] {
    Scratch scratch;
    for (const char *name : {"docker", "dockers"}) // stand-ins: what counts is that one of that name is run
      scratch.write(name, "#!/bin/sh\nexit 0\n");
    shell(fmt::format("chmod +x {0}/docker {0}/dockers", scratch / "."));
    auto program = [&](const char *name) { return scratch / name; };
    for (std::vector<std::string> options : {std::vector<std::string>{}, {"--grace", "1"}}) {
      std::vector<std::string> arguments = {"guard"};
      arguments.insert(arguments.end(), options.begin(), options.end());
      arguments.insert(arguments.end(), {"--", "/bin/sh", "-c", program("docker") + "; " + program("dockers")});
      auto ran = run(arguments);
      expect_equal(ran.status, 0, "it is clean");
      expect_equal(ran.err,
                   std::string("pidleak guard: docker was run: what was handed to a daemon is not below this "
                               "command, and may go on unseen\n"),
                   "the last line");
    }
  });
}

TEST_CASE("orphans that end in time are told if asked, by name and creator", "[guard]") {
  if (!is_told_of_tasks())
    SKIP("the kernel tells this user of no forks");
  const std::string script =
      "sh -c 'sleep 0.2; for i in 1 2 3; do sleep 0.5 & done; /bin/true & exec sleep 0.2'; sleep 0.5";
  check_in_child([&] {
    Scratch scratch;
    auto adopted = report_on(script, scratch, {"--warn-adopted"}).at("genealogy").at("adopted");
    expect_equal(adopted.size(), 2U, adopted.dump());
    expect_equal(adopted.at(0).at("name").get<std::string>(), "sleep", "the most first");
    expect_equal(adopted.at(0).at("count").get<int>(), 3, "how many");
    expect(!adopted.at(0).at("never_waited_for").get<bool>(), "they ended later than their parent");
    expect_equal(adopted.at(1).at("name").get<std::string>(), "true", "the other");
    expect(adopted.at(1).at("never_waited_for").get<bool>(), "its parent did not wait for it");
    expect_part(adopted.at(1).at("created_by").dump(), "for i in 1 2 3");
  });
  auto told = guard_shell({"--warn-adopted"}, script);
  CHECK(told.status == 0);
  CHECK(told.err.find("adopted   3 sleep, created by: sh -c sleep 0.2; for i in 1 2 3") != std::string::npos);
  CHECK(told.err.find("never waited") != std::string::npos);
  CHECK(guard_shell({"--grace", "20"}, script).err.empty());
  CHECK(guard_shell({"--warn-adopted"}, "sleep 0.1").err.empty());
}

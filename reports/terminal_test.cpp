// What a user sees, against reports/goldens/NAME.txt. PIDLEAK_UPDATE_GOLDENS=1 in the environment writes them anew:
// then read what has changed as if for the first time.
#include "harness/os/pipe.hpp"
#include "reports/sample_reports.hpp"
#include "reports/terminal.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

/// As `pidleak run` shows them.
std::string rendered(const std::vector<Report> &reports, const TerminalOptions &options = {}) {
  return render_details(reports, options) + "\n" + render_table(reports, options);
}

void check_golden(const std::string &name, const std::string &text) {
  auto path = fmt::format("{}/reports/goldens/{}.txt", PIDLEAK_SOURCE_DIR, name);
  const char *update = std::getenv("PIDLEAK_UPDATE_GOLDENS");
  if (update && std::string(update) == "1") {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_atomically(path, text);
  }
  CHECK(text == os::read_file(path));
}

bool is_harmless(const std::string &text) { return printable(text, LineBreaks::kept) == text; }

Report report_of(const std::string &scenario, const std::string &pool, const std::string &start_method,
                 Verdict verdict) {
  auto report = minimal_report();
  report.scenario = scenario;
  report.pool = pool;
  report.conditions = {{"start-method", start_method}};
  report.workers = 4;
  report.verdict = verdict;
  report.total_ms = 18.4;
  return report;
}

Report clean(const std::string &pool = "hardened") {
  auto report = report_of("incident", pool, "fork", Verdict::clean);
  report.reason = "no process remains";
  report.census_complete = true;
  report.settled_by = SettledBy::all_gone;
  return report;
}

Report leaked() {
  auto report = report_of("incident", "cpython36", "fork", Verdict::leaked);
  report.reason = "3 live remain after shutdown returned; queue.Full had ended the management thread";
  report.live = 3;
  report.census_complete = true;
  report.evidence = {{.condition = "queue", .shown = true, .text = "5 of 5 slots were taken", .facts = {}},
                     {.condition = "death", .shown = true, .text = "worker 12 was killed by SIGKILL", .facts = {}}};
  report.remaining = {live_worker(3), live_worker(4), live_worker(11)};
  report.remaining[1].waits = {{.thread = 4, .state = 'R', .syscall = "running", .arguments = {}}};
  report.remaining[2].kind = census::Kind::orphan;
  report.remaining[2].status->caught = {};
  report.settled_by = SettledBy::quiescence;
  report.settle_ms = 6.84;
  report.total_ms = 10031.7;
  return report;
}

Report hung() {
  auto report = report_of("fork-vs-spawn", "cpython312", "forkserver", Verdict::hung);
  report.reason = "shutdown never returned; 2 live and 1 zombie remain";
  report.live = 2;
  report.zombies = 1;
  report.helpers = 1;
  report.census_complete = true;
  report.evidence = {{.condition = "sigterm", .shown = true, .text = "handler in 4 of 4 workers", .facts = {}}};
  report.remaining = {live_worker(3), zombie_worker(4), helper(5), live_worker(6)};
  report.remaining[0].waits.push_back({.thread = 7, .state = 'S', .syscall = "poll", .arguments = {}});
  report.remaining[0].waits.push_back({.thread = 8, .state = 'S', .syscall = "poll", .arguments = {}});
  report.remaining[2].outside_pid.reset();
  report.remaining[3].state = census::ProcessState::uninterruptible;
  report.remaining[3].waits[0].syscall = "none";
  report.settled_by = SettledBy::deadline;
  report.settle_ms = 10000;
  report.not_quiescent_because = "thread 8 of 3 waits with a timer";
  return report;
}

Report invalid() {
  auto report = report_of("oom-killed-child", "cpython37", "spawn", Verdict::invalid);
  report.reason = "the fault was not shown to have happened: death";
  report.census_complete = true;
  report.evidence = {
      {.condition = "sigterm", .shown = true, .text = "default in 4 of 4 workers", .facts = {}},
      {.condition = "death", .shown = false, .text = "its memory cgroup counted 0 OOM kills", .facts = {}}};
  return report;
}

Report skipped(const std::string &scenario, const std::string &pool, const std::string &start_method = "fork") {
  auto report = report_of(scenario, pool, start_method, Verdict::skipped);
  report.reason = "an OOM kill needs a memory cgroup: none is mounted; --oom=sigkill takes its place";
  report.total_ms = 0;
  return report;
}

Report broken() {
  auto report = report_of("full-queue-shutdown", "cpython36", "fork", Verdict::broken);
  report.reason = "the subject ended before it said that its pool was made: exited with 1";
  report.subject_stderr =
      "Traceback (most recent call last):\n\tFile \"x.py\"\n\nincident on hardened with fork: clean\n";
  return report;
}

} // namespace

TEST_CASE("each verdict has its row, and all but clean their details", "[report]") {
  auto text = rendered({clean(), leaked(), hung(), invalid(), skipped("incident", "cpython37"), broken()});
  CHECK(is_harmless(text));
  check_golden("verdicts", text);
}

TEST_CASE("rows that are skipped for the same reason share their details", "[report]") {
  std::vector<Report> reports;
  for (const char *scenario : {"oom-killed-child", "incident"})
    for (const char *pool : {"cpython36", "cpython37", "cpython312", "hardened"})
      reports.push_back(skipped(scenario, pool));
  reports.push_back(skipped("incident", "cpython36", "spawn"));
  reports.push_back(skipped("incident", "hardened", "spawn"));
  reports.back().reason = "the pool hardened has no start method spawn";
  check_golden("skipped", rendered(reports));
}

TEST_CASE("repeated replays share a row, and each of their verdicts is shown once", "[report]") {
  std::vector<Report> reports = {clean("cpython36"), leaked(), leaked(), clean("cpython36")};
  reports[2].live = 1;
  reports[2].remaining.resize(1);
  for (int i = 0; i < 3; ++i) {
    reports.push_back(clean());
    reports.back().total_ms = i == 0 ? 1000 : 20 + i;
    reports.push_back(skipped("incident", "cpython37"));
  }
  reports.push_back(broken());
  reports.back().scenario = "incident";
  check_golden("repeated", rendered(reports));
}

TEST_CASE("what is expected is judged replay by replay", "[report]") {
  TerminalOptions options{.deviation = [](const Report &report) {
    return report.verdict == Verdict::leaked ? "clean, 0 live, 0 zombies" : "";
  }};
  auto other = leaked();
  other.pool = "cpython37";
  check_golden("expected", render_table({clean(), leaked(), clean("cpython36"), other}, options));
}

TEST_CASE("nothing that a process calls itself reaches the terminal raw", "[report]") {
  const std::string hostile = "\x1b[2J\x9b\n\xc2\x9b\xe2\x80\xae\r\x7f\xff";
  auto report = leaked();
  report.remaining.resize(2);
  report.remaining[0].comm = report.remaining[1].waits[0].syscall = hostile;
  report.remaining[1].comm = "caf\xc3\xa9";
  report.verdict = Verdict::broken;
  report.scenario = report.pool = report.reason = report.not_quiescent_because = hostile;
  report.conditions["start-method"] = hostile;
  report.evidence[0].condition = report.evidence[0].text = hostile;
  report.subject_stderr = hostile + hostile;
  auto more = clean("caf\xc3\xa9");
  TerminalOptions options{.deviation = [&](const Report &) { return hostile; }};
  auto text = rendered({report, more, clean()}, options);
  CHECK(is_harmless(text));
  check_golden("hostile", text);
}

TEST_CASE("colours are an addition to the same text", "[report]") {
  const std::vector<Report> reports = {clean(), leaked(), leaked(), clean("cpython36"), hung(), broken()};
  auto plain = rendered(reports), coloured = rendered(reports, {.colour = true});
  CHECK(coloured.find("\x1b[32mclean") != coloured.npos);
  CHECK(coloured.find("\x1b[31m2 leaked, 1 clean") != coloured.npos); // the worst verdict's
  CHECK(coloured.find("\x1b[31mhung") != coloured.npos);
  for (auto start = coloured.find('\x1b'); start != coloured.npos; start = coloured.find('\x1b'))
    coloured.erase(start, coloured.find('m', start) - start + 1);
  CHECK(coloured == plain);
}

TEST_CASE("a table of nothing is its head, and nothing is said of what is clean", "[report]") {
  CHECK(render_table({}, {}) == "SCENARIO  POOL  START  VERDICT  LIVE  ZOMBIE  HELPER  TIME\n");
  CHECK(render_details({}, {}).empty());
  CHECK(render_details({clean(), clean()}, {}).empty());
}

TEST_CASE("what the subject said wrong is told", "[report]") {
  auto report = report_of("incident", "exec:./mine", "fork", Verdict::broken);
  report.timeline = {{.at_ms = 1, .event = "mistake", .pid = {}, .detail = "there is no event \"submited\""}};
  CHECK(rendered({report}).find("  mistake   there is no event \"submited\"\n") != std::string::npos);
}

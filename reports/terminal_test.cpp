// What a user sees, against reports/goldens.
#include "reports/sample_verdicts.hpp"
#include "reports/terminal.hpp"

#include <catch2/catch_test_macros.hpp>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

/// As `pidleak run` shows them.
std::string rendered(const std::vector<Report> &reports, const TerminalOptions &options = {}) {
  return render_details(reports, options) + "\n" + render_table(reports, options);
}

bool is_harmless(const std::string &text) { return printable(text, LineBreaks::kept) == text; }

} // namespace

TEST_CASE("each verdict has its row, and all but clean their details", "[report]") {
  auto text = rendered({clean(), leaked(), hung(), grown(), invalid(), skipped("incident", "cpython37"), broken()});
  CHECK(is_harmless(text));
  check_golden("verdicts.txt", text);
}

TEST_CASE("rows that are skipped for the same reason share their details", "[report]") {
  std::vector<Report> reports;
  for (const char *scenario : {"oom-killed-child", "incident"})
    for (const char *pool : {"cpython36", "cpython37", "cpython312", "hardened"})
      reports.push_back(skipped(scenario, pool));
  reports.push_back(skipped("incident", "cpython36", "spawn"));
  reports.push_back(skipped("incident", "hardened", "spawn"));
  reports.back().reason = "the pool hardened has no start method spawn";
  check_golden("skipped.txt", rendered(reports));
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
  check_golden("repeated.txt", rendered(reports));
}

TEST_CASE("what is expected is judged replay by replay", "[report]") {
  TerminalOptions options{.deviation = [](const Report &report) {
    return report.verdict == Verdict::leaked ? "clean, 0 live, 0 zombies" : "";
  }};
  auto other = leaked();
  other.pool = "cpython37";
  check_golden("expected.txt", render_table({clean(), leaked(), clean("cpython36"), other}, options));
}

TEST_CASE("nothing that a process calls itself reaches the terminal raw", "[report]") {
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
  check_golden("hostile.txt", text);
}

TEST_CASE("colours are an addition to the same text", "[report]") {
  const std::vector<Report> reports = {clean(), leaked(), leaked(), clean("cpython36"), hung(), broken()};
  auto plain = rendered(reports), coloured = rendered(reports, {.colour = true});
  CHECK(coloured.find("\x1b[32mclean") != coloured.npos);
  auto rows = rendered(reports, {.colour = true, .verbose = true});
  CHECK(rows.find("\x1b[31m2 leaked, 1 clean") != rows.npos); // the worst verdict's
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

// Replays counted by what came of them, and documents that grow.
#include "reports/document.hpp"
#include "reports/html.hpp"
#include "reports/sample_verdicts.hpp"
#include "reports/tally.hpp"
#include "reports/terminal.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/resource.h>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

namespace {

std::string text_of(const Content &content) {
  std::string text;
  content.each_piece(0, content.size(), [&](std::string_view piece) { text += piece; });
  return text;
}

} // namespace

TEST_CASE("replays that came to the same end are one ending, whatever their pids are", "[report]") {
  auto other_pids = leaked();
  other_pids.reason = "pid 77 remains";
  for (auto &process : other_pids.remaining)
    process.pid += 1000;
  auto again = other_pids;
  again.reason = "pid 1234 remains";
  Tallies tallies({other_pids, again, clean("cpython36"), other_pids});
  REQUIRE(tallies.all().size() == 1);
  const auto &endings = tallies.all().front().endings;
  REQUIRE(endings.size() == 2);
  CHECK(endings[0].count == 3);
  CHECK(endings[0].place == 1);
  CHECK(endings[1].count == 1);
  CHECK(endings[1].place == 3);
  CHECK(tallies.all().front().replays.size() == 4);
}

TEST_CASE("what differs in cause, kind, number or verdict is another ending", "[report]") {
  auto one = leaked();
  std::vector<Report> others(4, one);
  others[0].remaining[0].diagnosis[0].cause = census::Cause::timer;
  others[1].remaining[0].kind = census::Kind::escaped;
  others[2].live += 1;
  others[3].verdict = Verdict::hung;
  for (const auto &other : others)
    CHECK(kind_of_ending(other) != kind_of_ending(one));
}

TEST_CASE("several scenarios on several pools are a table of pools, with what is not as expected below", "[report]") {
  auto other = leaked();
  other.scenario = "owner-killed";
  TerminalOptions options{.deviation = [](const Report &report) {
    return report.scenario == "owner-killed" && report.verdict == Verdict::leaked ? "clean, 0 live, 0 zombies" : "";
  }};
  auto clean_one = clean("hardened"), clean_other = clean("hardened");
  clean_other.scenario = "owner-killed";
  CHECK(render_table({leaked(), clean_one, other, clean_other}, options) ==
        "SCENARIO      START  cpython36     hardened\n"
        "incident      fork   leaked 3/0    clean\n"
        "owner-killed  fork   leaked 3/0 !  clean\n"
        "leaked and hung with the numbers of live/zombie workers that remain\n"
        "! owner-killed on cpython36 with fork: expected clean, 0 live, 0 zombies\n");
  CHECK(render_counts({leaked(), clean_one, other, clean_other}, options.deviation) ==
        "2 leaked, 2 clean; 1 NOT as expected");
  auto details = render_details({leaked(), clean_one, other, clean_other}, options);
  CHECK(details.find("owner-killed on cpython36") != details.npos);
  CHECK(details.find("incident on cpython36") == details.npos); // as expected
}

TEST_CASE("an ending is told once for all rows that came to it", "[report]") {
  auto other = leaked();
  other.scenario = "owner-killed";
  auto once = render_details({leaked(), other}, {}), twice = render_details({leaked(), other}, {.verbose = true});
  CHECK(once.find("owner-killed on cpython36 with fork: leaked\n") != once.npos);
  CHECK(once.find("settled") == once.rfind("settled"));
  CHECK(once == twice); // the very same to say
  other.remaining.back().pid = 4711;
  CHECK(render_details({leaked(), other}, {}).find("4711") == once.npos);
  CHECK(render_details({leaked(), other}, {.verbose = true}).find("4711") != once.npos);
}

TEST_CASE("no line of the details is longer than 120 columns, but for words that are", "[report]") {
  auto report = leaked();
  report.reason = std::string(40, 'x') + " " + std::string(70, 'y') + " " + std::string(130, 'z') + " end";
  auto text = render_details({report}, {});
  CHECK(text.find("  " + std::string(40, 'x') + " " + std::string(70, 'y') + "\n    " + std::string(130, 'z') +
                  "\n    end\n") != text.npos);
}

TEST_CASE("a document that grows is the one that is written at once", "[report]") {
  for (const auto &reports : {std::vector<Report>{}, {clean()}, {clean(), leaked(), hung()}}) {
    GrowingDocument document;
    for (const auto &report : reports)
      document.add(report);
    CHECK(text_of(document.finish()) == to_document(reports));
    CHECK(from_document(to_document(reports)).size() == reports.size());
  }
}

TEST_CASE("what the temporary file can't take is kept in memory", "[report]") {
  auto wanted = std::string(300000, 'a') + std::string(300000, 'b') + "end";
  CHECK(run_in_child([&] {
          rlimit small{.rlim_cur = 100000, .rlim_max = 100000};
          ::signal(SIGXFSZ, SIG_IGN);
          expect(::setrlimit(RLIMIT_FSIZE, &small) == 0, "setrlimit()");
          Spool spool;
          for (const auto &part : {wanted.substr(0, 300000), wanted.substr(300000, 300000), wanted.substr(600000)})
            spool.append(part);
          expect(text_of(spool.content()) == wanted, "all of it comes back");
        }) == "");
  ::setenv("TMPDIR", "/nonexistent", 1);
  Spool spool;
  spool.append(wanted);
  CHECK(text_of(spool.content()) == wanted);
  ::unsetenv("TMPDIR");
}

TEST_CASE("a page of 10,000 replays is smaller than 5 MB", "[report]") {
  Tallies tallies;
  for (int i = 0; i < 10000; ++i) {
    auto report = i % 3 == 0 ? clean("cpython36") : leaked();
    report.scenario = "scenario-" + std::to_string(i % 44);
    report.total_ms = i * 1.2345;
    tallies.add(report);
  }
  CHECK(render_html(tallies).size() < 5000000);
}

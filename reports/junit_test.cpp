// JUnit XML as its readers count it. That it is XML is checked by others' parsers: reports/check_renderings.
#include "reports/junit.hpp"
#include "reports/sample_verdicts.hpp"

#include <catch2/matchers/catch_matchers_string.hpp>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string expected_leak(const Report &report) { return report.verdict == Verdict::leaked ? "" : "leaked, 3 live"; }

} // namespace

TEST_CASE("each verdict is a failure, an error, skipped or passed in JUnit", "[report]") {
  auto text = render_junit({clean(), leaked(), hung(), grown(), invalid(), skipped("incident", "cpython37"), broken()});
  check_golden("verdicts.junit.xml", text);
  CHECK_THAT(text, ContainsSubstring(R"(<testsuites name="pidleak" tests="7" failures="4" errors="1" time="10.124")"));
  CHECK_THAT(text, ContainsSubstring(
                       R"(<testsuite name="incident" tests="3" failures="1" errors="0" time="10.050" skipped="1")"));
  CHECK_THAT(render_junit({}), ContainsSubstring(R"(tests="0")"));
}

TEST_CASE("a leak that is expected has passed in JUnit, shows what remains, and the clean twin has failed",
          "[report]") {
  auto text = render_junit({leaked()}, expected_leak);
  CHECK_THAT(text, ContainsSubstring(R"(failures="0")"));
  CHECK_THAT(text, ContainsSubstring("<system-out>3 live workers remain"));
  CHECK_THAT(text, ContainsSubstring("  waits   pid 11"));
  text = render_junit({clean()}, expected_leak);
  CHECK_THAT(text, ContainsSubstring(R"(<failure type="clean" message="expected: leaked, 3 live; but no process)"));
  text = render_junit({invalid()}, [](const Report &) { return ""; }); // an invalid replay never passes
  CHECK_THAT(text, ContainsSubstring(R"(failures="1")"));
}

TEST_CASE("suppressed processes of a clean report are in the system-out", "[report]") {
  auto report = clean();
  report.remaining = {live_worker(3)};
  report.remaining[0].suppressed_by = "known";
  report.suppressions = {{.rule = "comm=a", .reason = "known", .expires = "", .expired = false, .used = 1},
                         {.rule = "comm=b", .reason = "old", .expires = "2020-01-01", .expired = true, .used = 0},
                         {.rule = "comm=c", .reason = "other", .expires = "", .expired = false, .used = 0}};
  auto text = render_junit({report});
  CHECK_THAT(text, ContainsSubstring("suppressed: known"));
  CHECK_THAT(text, ContainsSubstring("expired   on 2020-01-01: comm=b (old)"));
  CHECK_THAT(text, !ContainsSubstring("comm=c"));
  CHECK_THAT(render_junit({clean()}), !ContainsSubstring("system-out"));
}

TEST_CASE("properties are the suite's, with the test's name where the tests of a suite differ", "[report]") {
  auto text = render_junit({clean(), leaked()});
  CHECK_THAT(text, ContainsSubstring(R"(<property name="tier" value="subreaper"/>)"));
  CHECK_THAT(text, ContainsSubstring(R"(<property name="condition.start-method" value="fork"/>)"));
  CHECK_THAT(text, ContainsSubstring(R"(<property name="hardened fork: verdict" value="clean"/>)"));
  CHECK_THAT(text, ContainsSubstring(R"(<property name="cpython36 fork: verdict" value="leaked"/>)"));
}

TEST_CASE("repeated replays are numbered in JUnit, and single ones are not", "[report]") {
  auto text = render_junit({leaked(), clean(), leaked()});
  CHECK_THAT(text, ContainsSubstring(R"(name="cpython36 fork #1")"));
  CHECK_THAT(text, ContainsSubstring(R"(name="cpython36 fork #2")"));
  CHECK_THAT(text, ContainsSubstring(R"(name="hardened fork" time="0.018")"));
}

TEST_CASE("what XML forbids or would read otherwise is escaped", "[report]") {
  auto report = leaked();
  report.pool = "a<b>&\"c\"]]>\t\n" + hostile + std::string("\xef\xbf\xbe\xef\xbf\xbf\0", 7);
  auto text = render_junit({report});
  CHECK_THAT(text, ContainsSubstring(R"(name="a&lt;b&gt;&amp;&quot;c&quot;]]&gt;&#9;&#10;\x1b[2J\x9b&#10;)"));
  CHECK_THAT(text, ContainsSubstring(R"(\ufffe\uffff\x00 fork")"));
  CHECK(printable(text, LineBreaks::kept) == text);
}

// What GitHub shows: a job's summary and a run's annotations.
#include "reports/annotations.hpp"
#include "reports/markdown.hpp"
#include "reports/sample_verdicts.hpp"

#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

std::vector<Report> one_of_each() {
  return {clean(), leaked(), hung(), grown(), invalid(), skipped("incident", "cpython37"), broken()};
}

std::string leak_expected(const Report &report) { return report.verdict == Verdict::leaked ? "" : "leaked"; }

} // namespace

TEST_CASE("the Markdown summary has a table, and tells of all that is not clean", "[report]") {
  auto text = render_markdown(one_of_each());
  check_golden("verdicts.md", text);
  CHECK_THAT(render_markdown({clean()}), !ContainsSubstring("###"));
  CHECK_THAT(render_markdown({}), ContainsSubstring("| SCENARIO |"));
}

TEST_CASE("Markdown tells what was expected, and of a clean report where a leak was", "[report]") {
  auto text = render_markdown({clean(), leaked()}, leak_expected);
  CHECK_THAT(text, ContainsSubstring("| EXPECTED |"));
  CHECK_THAT(text, ContainsSubstring("### clean: incident on hardened with fork\n\n**Reason:** expected: leaked; but"));
  CHECK_THAT(text, ContainsSubstring("### leaked: incident on cpython36 with fork, as expected"));
}

TEST_CASE("Markdown shows what comes from outside as it is, and on one line", "[report]") {
  CHECK(markdown_text("a|b `c` *d* _e_ <img src=x> & [l](u) \\ #1 ~~x~~") ==
        "a\\|b \\`c\\` \\*d\\* \\_e\\_ &lt;img src=x&gt; &amp; \\[l\\](u) \\\\ \\#1 \\~\\~x\\~\\~");
  CHECK(markdown_text("@octocat") == "@<!-- -->octocat");
  CHECK(markdown_text("a\nb\r|") == "a\\\\x0ab\\\\x0d\\|");
  auto report = leaked(), plain = leaked();
  report.pool = report.scenario = report.reason = "|\n</details>\n# x `" + hostile;
  report.remaining[0].comm = report.remaining[0].diagnosis[0].text = report.pool;
  auto lines = [](const std::string &text) { return std::count(text.begin(), text.end(), '\n'); };
  CHECK(lines(render_markdown({report})) == lines(render_markdown({plain})));
  CHECK_THAT(render_markdown({report}), !ContainsSubstring("\n# x"));
}

TEST_CASE("of very many remaining processes Markdown shows the first", "[report]") {
  auto report = leaked();
  report.remaining.assign(60, live_worker(3));
  CHECK_THAT(render_markdown({report}), ContainsSubstring("<summary>60 processes remain</summary>"));
  CHECK_THAT(render_markdown({report}), ContainsSubstring("and 10 more."));
}

TEST_CASE("annotations: an error for the pool, a warning for the replay, a notice for what was skipped", "[report]") {
  auto text = render_annotations(one_of_each());
  check_golden("verdicts.github.txt", text);
  CHECK_THAT(text,
             StartsWith("::error title=pidleak%3A leaked%3A incident on cpython36 with fork::3 live workers remain"));
  CHECK(render_annotations({clean()}).empty());
  CHECK(render_annotations({leaked()}, leak_expected).empty());
  CHECK_THAT(render_annotations({clean()}, leak_expected), StartsWith("::error title=pidleak%3A clean%3A incident"));
}

TEST_CASE("annotations escape what would end them, and repeated replays share one", "[report]") {
  auto report = skipped("a,b", "exec:100%");
  report.reason = "50%\r\n::error::x, y: z";
  CHECK(render_annotations({report}) == "::notice title=pidleak%3A skipped%3A a%2Cb on exec%3A100%25 with "
                                        "fork::50%25\\x0d%0A::error::x, y: z\n");
  auto text = render_annotations({leaked(), clean("cpython36"), leaked()});
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK_THAT(text, ContainsSubstring("(in 2 of 3 replays)"));
}

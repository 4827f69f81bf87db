// The HTML rendering: as text, and in a browser (Chromium, where there is one) that must show every process, obey
// nothing that a process calls itself, and ask for nothing.
#include "harness/os/launch.hpp"
#include "harness/os/test_support.hpp"
#include "reports/file.hpp"
#include "reports/html.hpp"
#include "reports/sample_incident.hpp"
#include "reports/sample_sweep.hpp"
#include "reports/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

const std::string hostile_markup =
    std::string("</script><script>alert(1)</script><!--<script>\0", 47) +
    "]]>\"'`&lt;<img src=x onerror=alert(1)>\xff\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae@DATA@";

/// Everything that a process or a pool may choose.
Report hostile_report() {
  auto report = full_report();
  for (auto *text : {&report.scenario, &report.pool, &report.pool_version, &report.reason, &report.tier_notes[0],
                     &report.evidence[0].condition, &report.evidence[0].text, &report.timeline[0].detail,
                     &report.timeline[0].event, &report.not_quiescent_because, &report.subject_stderr, &report.kernel,
                     &report.started, &report.suppressions[0].rule, &report.suppressions[0].reason})
    *text = hostile_markup;
  report.conditions["start-method"] = report.conditions[hostile_markup] = report.evidence[0].facts[hostile_markup] =
      hostile_markup;
  report.conditions["__proto__"] = report.evidence[0].facts["__proto__"] = "a name that JavaScript has plans for";
  for (auto *process : {&report.remaining[0], &*report.owner}) {
    process->comm = process->role = process->waits[0].syscall = process->waits[0].object = process->waits[0].stack[0] =
        process->pipes[0].target = process->diagnosis[0].text = hostile_markup;
    process->command_line = {hostile_markup, hostile_markup};
    process->suppressed_by = hostile_markup;
  }
  return report;
}

std::vector<Report> one_of_each_verdict() {
  std::vector<Report> reports;
  for (auto verdict :
       {Verdict::clean, Verdict::leaked, Verdict::hung, Verdict::invalid, Verdict::skipped, Verdict::broken}) {
    reports.push_back(verdict == Verdict::leaked ? leaked_incident() : full_report());
    reports.back().verdict = verdict;
  }
  return reports;
}

/// What stands between `from` and the next `to`.
std::string between(const std::string &text, const std::string &from, const std::string &to) {
  auto start = text.find(from);
  if (start == text.npos)
    return "";
  start += from.size();
  return text.substr(start, text.find(to, start) - start);
}

const std::string data_start = "<script type=\"application/json\" id=\"data\">";

// --- in a browser ------------------------------------------------------------------------------------------------

struct Visit {
  std::string failure; // empty: the page was shown
  std::string document;
  std::string log;
};

os::UniqueFd create(const std::string &path) {
  auto fd = os::UniqueFd::adopt(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd)
    os::throw_errno("open({})", path);
  return fd;
}

/// What becomes of the page once its script has run. No process of the browser's is left afterwards.
Visit visit(const std::string &browser, const std::string &page) {
  TemporaryDirectory directory;
  auto file = directory / "report.html";
  write_atomically(file, page);
  Visit result;
  result.failure = run_in_child(
      [&] {
        auto out = create(directory / "document"), log = create(directory / "log");
        auto child =
            os::launch({.program = browser,
                        .arguments = {"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                                      "--disable-background-networking", "--disable-component-update", "--disable-sync",
                                      "--user-data-dir=" + (directory / "profile"), "--enable-logging=stderr", "--v=0",
                                      "--virtual-time-budget=2000", "--dump-dom", "file://" + file},
                        .standard_output = out.get(),
                        .standard_error = log.get()});
        auto status = os::reap(child, Deadline::after(std::chrono::seconds(40)));
        expect(status.has_value(), "the browser comes to its end");
        expect_equal(status->text(), os::WaitStatus{}.text(), "how the browser ended");
      },
      std::chrono::seconds(45));
  result.document = os::read_file(directory / "document");
  result.log = os::read_file(directory / "log");
  return result;
}

Visit visit_or_skip(const std::string &page) {
  auto browser = os::find_on_path("chromium");
  if (browser.empty())
    SKIP("no chromium on PATH");
  return visit(browser, page);
}

/// The page came up, without an error, and without a request.
void check_quiet(const Visit &visit) {
  CHECK(visit.failure == "");
  CHECK(count(visit.log, "CONSOLE") == 0);
  auto root = between(visit.document, "<html", ">");
  CHECK(root.find("data-ready=\"true\"") != root.npos);
  CHECK(root.find("data-requests=\"0\"") != root.npos);
  CHECK(root.find("data-errors") == root.npos);
}

/// The document without the data block, whose text is not the page's.
std::string shown(const Visit &visit) {
  auto text = visit.document;
  auto start = text.find(data_start);
  return start == text.npos ? text : text.erase(start, text.find("</script>", start) - start);
}

} // namespace

TEST_CASE("no text of a report can end the data of the HTML page", "[report]") {
  const std::vector<Report> reports = {hostile_report()};
  auto page = render_html(reports), plain = render_html({full_report()});
  for (std::string_view part : {"<", "</script", "<!--", "<img"})
    CHECK(count(between(page, data_start, "\n<script>"), part) == (part == "<" || part == "</script" ? 1U : 0U));
  CHECK(count(page, "<script") == count(plain, "<script"));
  CHECK(count(page, "</script") == count(plain, "</script"));
  CHECK(page.find('\0') == page.npos);
  CHECK(page.find("\xe2\x80\xa8") == page.npos);
  CHECK(page.find("\xe2\x80\xae") == page.find("\xe2\x80\xae", page.find(data_start))); // only as data
  CHECK(as_utf8(page) == page);
  auto data = nlohmann::ordered_json::parse(between(page, data_start, "</script>"));
  CHECK(to_json(from_json(data.at("cells").at(0).at("endings").at(0).at("report"))) == to_json(reports[0]));
}

TEST_CASE("the HTML page without its script is a table of verdicts", "[report]") {
  auto table = between(render_html({hostile_report(), full_report(), minimal_report()}), "<noscript>", "</noscript>");
  CHECK(count(table, "<tr>") == 4);
  CHECK(count(table, "<td>") == 27); // their kernels differ
  CHECK(count(table, "<td>broken</td><td>-</td><td>-</td><td>-</td>") == 1); // no process was counted
  CHECK(count(table, "<td>fork-vs-spawn</td><td>cpython312</td><td>fork</td><td>hung</td><td>1</td>") == 1);
  CHECK(table.find("<script") == table.npos);
  CHECK(table.find("<img") == table.npos);
  CHECK(table.find("&lt;script&gt;") != table.npos);
}

TEST_CASE("the HTML page refers to nothing outside", "[report]") {
  for (const auto &reports : {std::vector<Report>{}, one_of_each_verdict()}) {
    auto page = render_html(reports);
    for (std::string_view part : {"http:", "https:", "url(\"", "@import", " src=", "innerHTML", "'unsafe-inline'"})
      CHECK(count(page, part) == 0);
    CHECK(count(page, "default-src 'none'; script-src 'sha256-") == 1);
    for (const char *name : {"html", "head", "body", "main", "noscript", "script", "style", "table", "svg", "defs"})
      CHECK(count(page, fmt::format("<{}>", name)) + count(page, fmt::format("<{} ", name)) ==
            count(page, fmt::format("</{}>", name)));
  }
}

TEST_CASE("a browser shows every report and a bar for every process", "[report]") {
  auto visited = visit_or_skip(render_html(one_of_each_verdict()));
  check_quiet(visited);
  auto document = shown(visited);
  for (const char *verdict : {"clean", "leaked", "hung", "invalid", "skipped", "broken"})
    CHECK(count(document, fmt::format("<span class=\"badge is-{}\"", verdict)) >= 2); // in the table, and its section's
  for (int number = 1; number <= 6; ++number)
    CHECK(count(document, fmt::format("id=\"report-{}\"", number)) == 1);
  auto incident = document.substr(document.find("<details class=\"report is-leaked\""));
  incident = incident.substr(0, incident.find("<details class=\"report is-", 1));
  for (const auto *pid : {"2", "3", "4", "5", "6"})
    CHECK(count(incident, fmt::format("data-pid=\"{}\"", pid)) == 1);
  for (const auto *pid : {"3", "4", "5"})
    CHECK(count(incident, fmt::format("data-remains=\"{}\"", pid)) == 1);
  CHECK(count(incident, "class=\"fault\"") >= 1);
  CHECK(count(incident, "class=\"line line-pool-broken\"") == 1);
}

TEST_CASE("a browser shows every process of a command, those of one name in one row", "[report]") {
  auto report = full_report();
  for (int i = 0; i < 500; ++i)
    report.lives->processes.push_back({.pid = 100 + i,
                                       .parent = 0,
                                       .command_line = {"/usr/bin/cc", "-c", fmt::format("{}.c", i)},
                                       .started_ms = 20.0 + i,
                                       .ended_ms = i == 7 ? std::nullopt : std::optional(30.0 + i)});
  report.remaining.push_back(live_worker(107));
  auto visited = visit_or_skip(render_html({report}));
  check_quiet(visited);
  auto document = shown(visited);
  CHECK(count(document, "class=\"life-row\"") == 2); // make, and below it cc
  CHECK(count(document, ">cc × 501</button>") == 1);
  CHECK(count(document, "class=\"life remains\"") == 1);
}

TEST_CASE("a browser obeys nothing that stands in a report", "[report]") {
  auto visited = visit_or_skip(render_html({hostile_report()}));
  check_quiet(visited);
  auto document = shown(visited);
  CHECK(count(document, "<img") == 0);
  CHECK(count(document, "<script") == 1);
  CHECK(count(document, "&lt;img src=x onerror=alert(1)&gt;") > 10); // it is there, as text
  for (std::string_view part : {"\xe2\x80\xa8", "\xe2\x80\xae"})
    CHECK(count(document, part) == 0);
}

TEST_CASE("a browser shows a tick for every point of a sweep, which leads to its class", "[report]") {
  auto visited = visit_or_skip(
      render_html({swept()}, [](const auto &, const auto &) { return std::string("pidleak run <img src=x>"); }));
  check_quiet(visited);
  auto document = shown(visited);
  CHECK(count(document, "class=\"tick is-") == 3);
  CHECK(count(document, "<span class=\"tick is-clean\"") == 1);
  CHECK(count(document, "<span class=\"tick is-unreached\"") == 1);
  CHECK(count(document, "<a class=\"tick is-leaked\" href=\"#sweep-1-1\"") == 1);
  CHECK(count(document, "<details class=\"report is-leaked\" id=\"sweep-1-1\"") == 1);
  CHECK(count(document, "<img") == 0);
}

TEST_CASE("a browser shows pools side by side, and what their servers did besides", "[report]") {
  auto one = hostile_report(), other = leaked_incident();
  one.evidence[0] = {.condition = "request", .shown = true, .text = "", .facts = {{"request", "dropped"}}};
  other.pool = "another";
  auto page = render_comparison_html({one, other, other});
  CHECK(count(between(page, "<noscript>", "</noscript>"), "the request was dropped") == 1);
  auto visited = visit_or_skip(page);
  check_quiet(visited);
  auto document = shown(visited);
  auto cross = between(document, "<table class=\"cross\">", "</table>");
  CHECK(count(cross, "the request was dropped") == 1);
  CHECK(count(cross, "href=\"#report-") == 2);
  CHECK(count(cross, "2 of 2") == 1);
  CHECK(count(document, "<img") == 0);
  CHECK(count(render_html({one, other}), "\"comparison\"") == 0);
}

TEST_CASE("a browser shows a page without reports", "[report]") { check_quiet(visit_or_skip(render_html({}))); }

TEST_CASE("what a browser obeys is seen: the same page without its escapes", "[report]") {
  auto page = render_html({hostile_report()});
  for (const auto &[escape, meant] : {std::pair("\\u003c", "<"), std::pair("\\u003e", ">")})
    for (auto at = page.find(escape); at != page.npos; at = page.find(escape, at))
      page.replace(at, 6, meant);
  auto visited = visit_or_skip(page);
  CHECK(visited.failure == "");
  CHECK(count(visited.log, "CONSOLE") > 0); // its policy still keeps the planted script from running
  CHECK(count(shown(visited), "<img") > 0);
}

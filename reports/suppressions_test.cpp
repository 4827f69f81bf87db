// Rules that let processes remain: what they match, what they make of a report, and which are refused.
#include "reports/annotations.hpp"
#include "reports/document.hpp"
#include "reports/junit.hpp"
#include "reports/markdown.hpp"
#include "reports/sample_verdicts.hpp"
#include "reports/suppressions.hpp"
#include "reports/terminal.hpp"

#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

std::vector<std::string> stale_rules_of(const std::vector<Report> &reports) {
  std::vector<Suppression> uses;
  for (const auto &report : reports)
    add_uses(uses, report);
  return stale_rules(uses);
}

constexpr std::chrono::sys_days today = 2026y / std::chrono::March / 1;

std::vector<SuppressionRule> rules(const std::string &members) {
  return parse_suppressions("{\"suppressions\": [{\"reason\": \"known\", " + members + "}]}", "file");
}

/// What becomes of `report` under a rule.
Report under(const std::string &members, Report report = leaked()) {
  apply(rules(members), report, today);
  return report;
}

bool lets_remain(const std::string &members, const census::RemainingProcess &process) {
  return rules(members)[0].matches(process);
}

} // namespace

TEST_CASE("a rule matches a process that is everything it asks for, and no other", "[report]") {
  auto worker = live_worker(3); // `pidleak-subject --preset cpython36`, live, sigterm-caught and waits-for-lock
  CHECK(lets_remain(R"("comm": "pidleak-*")", worker));
  CHECK_FALSE(lets_remain(R"("comm": "pidleak")", worker));
  CHECK(lets_remain(R"("command_line": "*--preset cpython3[0-9]")", worker));
  CHECK_FALSE(lets_remain(R"("command_line": "--preset*")", worker));
  CHECK(lets_remain(R"("kind": "live")", worker));
  CHECK_FALSE(lets_remain(R"("kind": "orphan")", worker));
  CHECK(lets_remain(R"("cause": "waits-for-lock")", worker)); // the second finding as well
  CHECK_FALSE(lets_remain(R"("cause": "timer")", worker));
  CHECK(lets_remain(R"("comm": "*", "kind": "live", "cause": "sigterm-caught")", worker));
  CHECK_FALSE(lets_remain(R"("comm": "*", "kind": "live", "cause": "timer")", worker));
  CHECK_FALSE(lets_remain(R"("cause": "unknown")", zombie_worker(3))); // it was not asked
}

TEST_CASE("a leak of suppressed processes alone is clean, and says so", "[report]") {
  auto report = under(R"("comm": "pidleak-*")");
  CHECK(report.verdict == Verdict::clean);
  CHECK(report.reason == "3 processes remain, all suppressed");
  CHECK(report.live == 0);
  CHECK(report.remaining.size() == 3);
  CHECK(report.remaining[2].suppressed_by == "known");
  CHECK(report.suppressions.at(0).used == 3);
  CHECK(report.suppressions[0].rule == "comm=pidleak-*");
}

TEST_CASE("a leak of which a part is suppressed stays one", "[report]") {
  auto report = under(R"("kind": "orphan")");
  CHECK(report.verdict == Verdict::leaked);
  CHECK_THAT(report.reason, ContainsSubstring("; 1 of 3 suppressed"));
  CHECK(report.live == 2);
  CHECK_FALSE(report.remaining[0].suppressed_by);
  auto untouched = under(R"("comm": "other")");
  CHECK(untouched.verdict == Verdict::leaked);
  CHECK(untouched.reason == leaked().reason);
  CHECK(untouched.live == 3);
  CHECK(untouched.suppressions.at(0).used == 0);
}

TEST_CASE("a hang stays one, and so does every other verdict", "[report]") {
  for (auto report : {hung(), invalid(), broken(), clean(), skipped("a", "b")}) {
    auto after = under(R"("comm": "*")", report);
    CHECK(after.verdict == report.verdict);
    CHECK(after.reason == report.reason);
    CHECK(after.live + after.zombies + after.helpers == 0);
  }
}

TEST_CASE("helpers make no leak while the subject lives, and do once it has gone", "[report]") {
  auto report = leaked();
  report.remaining.push_back(helper(5));
  report.helpers = 1;
  CHECK(under(R"("comm": "*", "kind": "live")", report).verdict == Verdict::leaked); // the orphan
  report.remaining[2].kind = census::Kind::live;
  CHECK(under(R"("kind": "live")", report).verdict == Verdict::clean);
  CHECK(under(R"("kind": "live")", report).helpers == 1);

  auto subject_gone = report, owner_killed = report;
  subject_gone.nothing_left_below = false;
  owner_killed.conditions["victim"] = "owner";
  for (const auto &gone : {subject_gone, owner_killed}) {
    CHECK(under(R"("kind": "live")", gone).verdict == Verdict::leaked);
    CHECK(under(R"("comm": "*")", gone).verdict == Verdict::clean);
  }
}

TEST_CASE("a rule holds through the day on which it expires", "[report]") {
  CHECK(under(R"("comm": "*", "expires": "2026-03-01")").verdict == Verdict::clean);
  auto expired = under(R"("comm": "*", "expires": "2026-02-28")");
  CHECK(expired.verdict == Verdict::leaked);
  CHECK(expired.suppressions.at(0).expired);
  CHECK(expired.suppressions[0].expires == "2026-02-28");
  CHECK(expired.suppressions[0].used == 0);
  CHECK(stale_rules_of({expired}) == std::vector<std::string>{"rule 1 (comm=*) has expired on 2026-02-28"});
}

TEST_CASE("a rule is stale if no report has used it, and the first that matches is used", "[report]") {
  auto two = parse_suppressions(R"({"suppressions": [ // the narrow one first
    {"comm": "pidleak-*", "reason": "a"}, {"comm": "*", "reason": "b"}]})",
                                "file");
  auto first = leaked(), second = leaked(), third = clean();
  apply(two, first, today);
  CHECK(first.remaining[0].suppressed_by == "a");
  CHECK(stale_rules_of({first}) == std::vector<std::string>{"rule 2 (comm=*) was not used"});
  second.remaining[0].comm = "another";
  apply(two, second, today);
  apply(two, third, today);
  CHECK(stale_rules_of({third, first, second}).empty());
  CHECK(stale_rules_of({}).empty());
}

TEST_CASE("what accumulates is suppressed where a rule is for its oldest", "[report]") {
  auto report = grown();
  apply(rules(R"("kind": "orphan")"), report, today);
  CHECK(report.verdict == Verdict::leaked);
  apply(rules(R"("kind": "live")"), report, today);
  CHECK(report.verdict == Verdict::clean);
  CHECK(report.reason == "what accumulated is suppressed");
  CHECK(report.growth->groups[0].oldest.suppressed_by == "known");
  CHECK(report.suppressions[0].used == 1);
}

TEST_CASE("every rendering shows what is suppressed and why", "[report]") {
  const std::vector<Report> reports = {under(R"("comm": "*")")};
  for (const auto &text : {render_details(reports, {}), render_junit(reports), render_markdown(reports)}) {
    CHECK_THAT(text, ContainsSubstring("all suppressed"));
    CHECK_THAT(text, ContainsSubstring("suppressed: known"));
  }
  CHECK(render_annotations(reports).empty());
  CHECK_THAT(render_annotations({under(R"("kind": "orphan")")}), ContainsSubstring("suppressed: known"));
  auto text = to_document(reports);
  CHECK(to_document(from_document(text)) == text);
}

TEST_CASE("what is wrong with a rule is told with file, number and member", "[report]") {
  auto refused = [](const std::string &text, const std::string &why) {
    INFO(text);
    CHECK_THROWS_MATCHES(parse_suppressions(text, "file"), std::invalid_argument,
                         MessageMatches(ContainsSubstring(why)));
  };
  refused("{", "file: not JSON from byte 2 on");
  refused("[]", "file: it has no list \"suppressions\"");
  refused(R"({"suppressions": {}})", "no list");
  refused(R"({"suppressions": [], "rules": []})", "file: \"rules\" is not known");
  refused(R"({"suppressions": ["a"]})", "file: rule 1: is not an object");
  auto rule = [&](const std::string &members, const std::string &why) {
    refused(R"({"suppressions": [{"comm": "a", "reason": "fine"}, {)" + members + "}]}", "file: rule 2: " + why);
  };
  rule(R"("comm": "a")", "\"reason\" is missing");
  rule(R"("comm": "a", "reason": " ")", "\"reason\" is empty");
  rule(R"("reason": "b", "expires": "2027-01-01")", "matches nothing");
  rule(R"("com": "a", "reason": "b")", "\"com\" is not known; did you mean \"comm\"?");
  rule(R"("comm": 3, "reason": "b")", "\"comm\" is not a string");
  rule(R"("comm": "", "reason": "b")", "\"comm\" is empty");
  rule(R"("comm": "*\u0000x", "reason": "b")", "\"comm\" has a NUL byte");
  rule(R"("kind": "orphans", "reason": "b")", "\"kind\" is \"orphans\", which is not known; did you mean \"orphan\"?");
  rule(R"("cause": "wait", "reason": "b")", "\"cause\" is \"wait\"");
  for (const char *day : {"2026-02-29", "2026-13-01", "2026-1-1", "26-01-01", "2026-01-00", "2026-01-011", "+026-01-01",
                          "0x26-01-01", "tomorrow", "2026/01/01"})
    rule(fmt::format(R"("comm": "a", "reason": "b", "expires": "{}")", day), "\"expires\" is ");
  CHECK(parse_suppressions(R"({"suppressions": []})", "file").empty());
  CHECK(rules(R"("comm": "a", "expires": "2028-02-29")").size() == 1);
}

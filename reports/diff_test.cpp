// What changed between two documents, and whether for the worse.
#include "harness/base/spelling.hpp"
#include "reports/diff.hpp"
#include "reports/sample_verdicts.hpp"

#include <nlohmann/json.hpp>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;

namespace {

Report with_verdict(Verdict verdict, int live = 0) {
  auto report = report_of("incident", "a|b", "fork", verdict);
  report.live = live;
  report.remaining.assign(static_cast<std::size_t>(live), live_worker(3));
  return report;
}

CellDiff only(const std::vector<Report> &before, const std::vector<Report> &after) {
  auto cells = diff(before, after);
  REQUIRE(cells.size() == 1);
  return cells[0];
}

void check(const Report &before, const Report &after, Change change) {
  INFO(spell(before.verdict) << " to " << spell(after.verdict));
  auto cell = only({before}, {after});
  CHECK(cell.change == change);
  CHECK(cell.got_worse == (change == Change::worse));
}

const auto clean_one = with_verdict(Verdict::clean), leak = with_verdict(Verdict::leaked, 3),
           hang = with_verdict(Verdict::hung, 3), skip = with_verdict(Verdict::skipped),
           no_fault = with_verdict(Verdict::invalid), failure = with_verdict(Verdict::broken);

} // namespace

TEST_CASE("a worse verdict is worse, and the way back is better", "[report]") {
  const std::pair<Report, Report> steps[] = {{clean_one, leak},   {leak, hang},   {clean_one, hang},
                                             {clean_one, skip},   {skip, leak},   {hang, no_fault},
                                             {no_fault, failure}, {leak, failure}};
  for (const auto &[good, bad] : steps) {
    check(good, bad, Change::worse);
    check(good, good, Change::same);
    if (good.verdict != Verdict::skipped && bad.verdict != Verdict::skipped)
      check(bad, good, Change::better);
  }
  check(leak, skip, Change::changed); // not known
  check(skip, clean_one, Change::better);
}

TEST_CASE("with the same verdict the number that remains decides", "[report]") {
  check(leak, with_verdict(Verdict::leaked, 4), Change::worse);
  check(with_verdict(Verdict::leaked, 4), leak, Change::better);
  CHECK(only({clean_one, leak}, {leak, leak}).change == Change::changed); // more often, but the worst is as it was
}

TEST_CASE("what accumulates is a cause", "[report]") {
  auto before = grown();
  before.growth->groups.clear();
  CHECK(only({before}, {grown()}).new_causes == std::vector<std::string>{"python3: accumulates"});
  auto allowed = grown();
  allowed.growth->groups[0].oldest.suppressed_by = "known";
  CHECK(only({before}, {allowed}).new_causes.empty());
}

TEST_CASE("what only one document has went away or is new, and a new leak is worse", "[report]") {
  CHECK(only({leak}, {}).change == Change::removed);
  CHECK_FALSE(got_worse(diff({clean_one}, {})));
  CHECK(only({}, {leak}).change == Change::added);
  CHECK(got_worse(diff({}, {leak})));
  CHECK_FALSE(got_worse(diff({}, {clean_one, skip})));
}

TEST_CASE("causes that are new or gone are told, those of suppressed processes are not", "[report]") {
  auto after = leak;
  for (auto &process : after.remaining)
    process.diagnosis = {{census::Cause::timer, "it sleeps"}};
  auto cell = only({leak}, {after});
  CHECK(cell.change == Change::changed);
  CHECK(cell.new_causes == std::vector<std::string>{"pidleak-subject: timer"});
  CHECK(cell.gone_causes ==
        std::vector<std::string>{"pidleak-subject: sigterm-caught", "pidleak-subject: waits-for-lock"});
  for (auto &process : after.remaining)
    process.suppressed_by = "known";
  CHECK(only({leak}, {after}).new_causes.empty());
}

TEST_CASE("a diff is a line for each that is not the same, and the same as JSON", "[report]") {
  auto twin = clean_one, untouched = clean_one, hostile_one = clean_one;
  twin.pool = "twin";
  twin.conditions.clear(); // a report of another tool's making may have none
  untouched.pool = "untouched";
  hostile_one.pool = hostile;
  auto cells = diff({clean_one, twin, untouched}, {leak, untouched, hostile_one});
  check_golden("diff.txt", render_diff(cells));
  CHECK(render_diff(diff({clean_one}, {clean_one})) == "1 the same, 0 not\n");
  CHECK(render_diff({}) == "0 the same, 0 not\n");
  auto json = nlohmann::json::parse(diff_as_json(cells));
  CHECK(json["got_worse"] == true);
  CHECK(json["diff"].size() == 4);
  CHECK(json["diff"][0]["after"]["outcome"] == "leaked 3/0");
  CHECK(json["diff"][1]["after"].is_null());
  CHECK_FALSE(json.dump().empty()); // valid UTF-8
}

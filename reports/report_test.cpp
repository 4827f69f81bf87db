#include "harness/base/spelling.hpp"
#include "harness/os/pipe.hpp"
#include "reports/document.hpp"
#include "reports/report.hpp"
#include "reports/sample_reports.hpp"

#include <boost/mp11/algorithm.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Json = nlohmann::ordered_json;

/// What from_json says to `json`. Empty: it took it.
std::string refusal(const Json &json) {
  try {
    from_json(json);
    return "";
  } catch (const std::invalid_argument &e) {
    return e.what();
  } catch (const std::exception &e) {
    return fmt::format("WRONG EXCEPTION: {}", e.what());
  }
}

bool names(const std::string &refusal, const std::string &member) {
  return refusal.starts_with("report: ") && refusal.find("\"" + member + "\"") != refusal.npos;
}

/// Of an other type than `original`, or out of every range.
bool must_be_refused(const Json &original, const Json &value) {
  if (original.is_boolean())
    return !value.is_boolean();
  if (original.is_string())
    return !value.is_string();
  if (original.is_number())
    return !value.is_number() || value.get<double>() < 0 || (original.is_number_integer() && value.is_number_float());
  return !original.is_null() && original.type() != value.type(); // null: whatever the member may otherwise be
}

std::string every_byte() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte)
    bytes += static_cast<char>(byte);
  return bytes;
}

const std::vector<std::string> hostile_texts = {
    every_byte(),       std::string("a\0b", 3),
    "\xed\xa0\x80",     // a high surrogate alone, encoded
    "\xed\xbf\xbf",     // a low one
    "\xc0\xaf",         // overlong
    "\xf4\x90\x80\x80", // beyond U+10FFFF
    "\xe2\x82",         // cut off
    "\xe2\x80\xa8",     // U+2028: a line end to JavaScript
    "\x80\xbf",         "\"}],\\",
};

} // namespace

TEST_CASE("a report survives its JSON form", "[report]") {
  for (const auto &report : {full_report(), minimal_report()}) {
    auto json = to_json(report);
    CHECK(to_json(from_json(json)) == json);
    CHECK(to_json(from_json(Json::parse(json.dump()))) == json);
  }
  auto largest = full_report();
  largest.remaining[0].start_ticks = std::numeric_limits<std::uint64_t>::max();
  CHECK(from_json(Json::parse(to_json(largest).dump())).remaining.at(0).start_ticks ==
        largest.remaining[0].start_ticks);
}

TEST_CASE("no member of a full report is left as it is by default", "[report]") {
  auto full = to_json(full_report()), minimal = to_json(minimal_report());
  for (const auto &place : places_in(minimal)) {
    auto text = place.pointer.to_string();
    if (text == "/schema_version" || text == "/tool/name")
      continue;
    CAPTURE(text);
    CHECK(full[place.pointer] != minimal[place.pointer]);
  }
}

TEST_CASE("enumerations survive the JSON form whatever their value", "[report]") {
  auto report = full_report();
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<Verdict>>([&](auto d) {
    report.verdict = d.value;
    CHECK(from_json(to_json(report)).verdict == d.value);
  });
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<census::Kind>>([&](auto d) {
    report.remaining[0].kind = d.value;
    CHECK(from_json(to_json(report)).remaining.at(0).kind == d.value);
  });
}

TEST_CASE("any bytes in names, arguments and output give a valid document", "[report]") {
  for (const auto &bytes : hostile_texts) {
    auto report = full_report();
    for (auto *text : {&report.remaining[0].comm, &report.remaining[0].role, &report.remaining[0].command_line[0],
                       &report.subject_stderr, &report.reason, &report.scenario, &report.evidence[0].text,
                       &report.timeline[0].detail, &report.remaining[0].pipes[0].target})
      *text = bytes;
    report.evidence[0].facts = {{bytes, bytes}};
    report.conditions[bytes] = bytes;
    auto document = to_document({report, report});
    Json parsed;
    REQUIRE_NOTHROW(parsed = Json::parse(document)); // it refuses what is not UTF-8
    CHECK(document.find('\0') == document.npos);
    REQUIRE(parsed["reports"].size() == 2);
    auto again = from_json(parsed["reports"][1]);
    CHECK(again.remaining.at(0).comm == as_utf8(bytes));
    CHECK(again.subject_stderr == as_utf8(bytes));
    CHECK(again.evidence.at(0).facts.at(as_utf8(bytes)) == as_utf8(bytes));
  }
}

TEST_CASE("bytes that are not UTF-8 are written out, all others stay", "[report]") {
  CHECK(as_utf8("plain \t\n\x1b \x7f") == "plain \t\n\x1b \x7f");
  CHECK(as_utf8("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d") == "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d");
  CHECK(as_utf8("\xff") == "\\xff");
  CHECK(as_utf8("\xc0\xaf") == "\\xc0\\xaf");
  CHECK(as_utf8("\xed\xa0\x80") == "\\xed\\xa0\\x80");
  CHECK(as_utf8("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
  CHECK(as_utf8("\xe2\x82") == "\\xe2\\x82");
  CHECK(as_utf8("\xe2\x82z") == "\\xe2\\x82z");
  CHECK(as_utf8(std::string("\0", 1)) == std::string("\0", 1));
  CHECK(as_utf8("").empty());
}

TEST_CASE("nothing that a terminal obeys is printed", "[report]") {
  CHECK(printable("\x1b[2J\x1b]0;title\a") == "\\x1b[2J\\x1b]0;title\\x07");
  CHECK(printable("\x7f") == "\\x7f");
  CHECK(printable("\x9b[31m") == "\\x9b[31m");       // C1 in Latin-1: no UTF-8
  CHECK(printable("\xc2\x9b[31m") == "\\u009b[31m"); // and in UTF-8
  CHECK(printable("\xe2\x80\xa8\xe2\x80\xae\xd8\x9c") == "\\u2028\\u202e\\u061c");
  CHECK(printable("\xe2\x81\xa6") == "\\u2066");
  CHECK(printable("\xc3\xa9 \xf0\x9f\x90\x8d") == "\xc3\xa9 \xf0\x9f\x90\x8d");
  CHECK(printable("a\n\tb\r") == "a\\x0a\\x09b\\x0d");
  CHECK(printable("a\n\tb\r", LineBreaks::kept) == "a\n\tb\\x0d");
  for (auto breaks : {LineBreaks::escaped, LineBreaks::kept})
    for (unsigned char c : printable(every_byte(), breaks))
      CHECK(((c >= 0x20 && c < 0x7f) || (breaks == LineBreaks::kept && (c == '\n' || c == '\t'))));
}

TEST_CASE("a report without one of its members is refused by that member's name", "[report]") {
  auto json = to_json(full_report());
  for (const auto &place : places_in(json))
    if (place.removable) {
      auto said = refusal(without(json, place));
      INFO(place.pointer.to_string() << ": " << said);
      CHECK(names(said, place.member));
    }
}

TEST_CASE("a member of the wrong type or out of range is refused by its name", "[report][once]") {
  auto json = to_json(full_report());
  int refused = 0;
  for (const auto &place : places_in(json))
    for (const auto &value : strange_values()) {
      auto said = refusal(with(json, place, value));
      // Where null, or another element of the same type, has a meaning it may be taken; anything else may not.
      bool must = must_be_refused(json[place.pointer], value) && !value.is_null();
      if (said.empty() && !must)
        continue;
      INFO(place.pointer.to_string() << " = " << value.dump() << ": " << said);
      // A process's sigterm and its signals are compared: either may be named. So may what is in a list.
      bool nested = value.is_structured();
      bool named = names(said, place.member) || (place.member == "signals" && names(said, "sigterm")) ||
                   (nested && said.starts_with("report: \""));
      bool compared = names(said, "sigterm") && names(said, "signals");
      CHECK((named || compared));
      ++refused;
    }
  CHECK(refused > 2000); // the check itself ran
}

TEST_CASE("null is refused where it has no meaning", "[report]") {
  const std::vector<std::string> nullable = {
      "outside_pid", "owner",    "suppressed_by", "pid",         "cgroup_agrees", "settled_by", "nothing_left_below",
      "shutdown",    "growth",   "point_fault",   "attributes",  "rss_kib",       "pss_kib",    "genealogy",
      "ended_ms",    "ended_by", "lives",         "parent_place"};
  auto json = to_json(full_report());
  for (const auto &place : places_in(json)) {
    auto said = refusal(with(json, place, nullptr));
    INFO(place.pointer.to_string() << ": " << said);
    auto path = place.pointer.to_string();
    bool process_pid = !path.starts_with("/timeline") && place.member == "pid";
    bool was_null = json[place.pointer].is_null();
    bool may =
        was_null || (!process_pid && std::find(nullable.begin(), nullable.end(), place.member) != nullable.end());
    CHECK(said.empty() == may);
  }
}

TEST_CASE("what is no report at all, or one of another version, is refused", "[report]") {
  for (const auto &value : strange_values())
    CHECK(names(refusal(value), "schema_version"));
  auto json = to_json(full_report());
  json["schema_version"] = 6;
  CHECK(refusal(json) == "report: \"schema_version\" is 6, this program reads 1 to 5");
  json = to_json(full_report());
  json["verdict"] = "\x1b[31m" + std::string(200, 'x');
  CHECK(refusal(json) == "report: \"verdict\" is \"\\x1b[31m" + std::string(75, 'x') + "\", which is not known");
}

/// Members of a version that came later.
void erase_what_is_newer_than(int version, Json &report) {
  if (version < 4)
    for (const char *of_version_4 : {"point_fault", "recording", "task_outcomes"})
      report.erase(of_version_4);
  report.erase("at_timeout");
  report.erase("genealogy");
  report.erase("lives");
  std::vector<Json *> processes;
  for (auto &process : report["remaining"])
    processes.push_back(&process);
  if (report["owner"].is_object())
    processes.push_back(&report["owner"]);
  if (report.contains("growth") && report["growth"].is_object())
    for (auto &group : report["growth"]["groups"])
      processes.push_back(&group["oldest"]);
  for (auto *process : processes) {
    process->erase("attributes");
    process->erase("created_by");
    process->erase("forked_at");
    process->erase("ended_by");
    process->erase("is_root");
    for (auto &finding : (*process)["diagnosis"])
      for (const char *newer : {"waits_for", "cure"})
        finding.erase(newer);
  }
}

TEST_CASE("a report of version 1 is read, and written again as one of the current version", "[report]") {
  auto document = Json::parse(os::read_file(PIDLEAK_SOURCE_DIR "/reports/goldens/version-1.json"));
  REQUIRE(document["schema_version"] == 1);
  auto leaked = from_json(document["reports"][0]);
  CHECK(leaked.verdict == Verdict::leaked);
  REQUIRE(leaked.remaining.size() == 3);
  CHECK(leaked.remaining[0].waits.size() == 1);
  CHECK(leaked.remaining[0].diagnosis.empty());
  auto again = to_json(leaked);
  CHECK(again["schema_version"] == reports::schema_version);
  CHECK(to_json(from_json(again)) == again);
  document["reports"][0].erase("verdict");
  CHECK(refusal(document["reports"][0]) == "report: \"verdict\" is missing");
}

TEST_CASE("a report of version 2 is read, and written again as one of the current version", "[report]") {
  auto document = Json::parse(os::read_file(PIDLEAK_SOURCE_DIR "/reports/goldens/version-2.json"));
  REQUIRE(document["schema_version"] == 2);
  auto leaked = from_json(document["reports"][0]);
  CHECK(leaked.remaining.size() == 3);
  CHECK_FALSE(leaked.growth);
  auto again = to_json(leaked);
  again.erase("growth");
  erase_what_is_newer_than(3, again);
  again["schema_version"] = 2;
  CHECK(again == document["reports"][0]);
}

TEST_CASE("a report of version 3 is read, and written again as one of the current version", "[report]") {
  auto document = Json::parse(os::read_file(PIDLEAK_SOURCE_DIR "/reports/goldens/version-3.json"));
  REQUIRE(document["schema_version"] == 3);
  auto grown = from_json(document["reports"][0]);
  CHECK(grown.growth);
  CHECK_FALSE(grown.point_fault);
  auto again = to_json(grown);
  erase_what_is_newer_than(3, again);
  again["schema_version"] = 3;
  CHECK(again == document["reports"][0]);
}

TEST_CASE("a report of version 4 is read, and written again as one of the current version", "[report]") {
  auto document = Json::parse(os::read_file(PIDLEAK_SOURCE_DIR "/reports/goldens/version-4.json"));
  REQUIRE(document["schema_version"] == 4);
  auto hung = from_json(document["reports"][0]);
  CHECK_FALSE(hung.remaining.at(0).attributes);
  auto again = to_json(hung);
  erase_what_is_newer_than(4, again);
  again["schema_version"] = 4;
  CHECK(again == document["reports"][0]);
}

TEST_CASE("the exit status of a verdict, and of several the one that weighs most", "[report]") {
  CHECK(exit_status(Verdict::clean) == 0);
  CHECK(exit_status(Verdict::leaked) == 1);
  CHECK(exit_status(Verdict::hung) == 1);
  CHECK(exit_status(Verdict::invalid) == 3);
  CHECK(exit_status(Verdict::skipped) == 4);
  CHECK(exit_status(Verdict::broken) == 5);
  // Weightiest first: broken, invalid, leaked or hung, clean, skipped.
  const std::vector<Verdict> order = {Verdict::broken, Verdict::invalid, Verdict::leaked, Verdict::clean,
                                      Verdict::skipped};
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t j = i; j < order.size(); ++j) {
      CHECK(exit_status(std::vector{order[i], order[j]}) == exit_status(order[i]));
      CHECK(exit_status(std::vector{order[j], order[i], order[j]}) == exit_status(order[i]));
    }
  CHECK(exit_status({Verdict::hung, Verdict::clean}) == 1);
  CHECK(exit_status(std::vector<Verdict>{}) == 4); // nothing ran: no pass
}

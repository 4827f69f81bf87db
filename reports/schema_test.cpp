// reports/report.schema.json, against what the program writes and reads and against the enumerations in its code.
#include "harness/base/spelling.hpp"
#include "harness/os/test_support.hpp"
#include "harness/protocol/vocabulary.hpp"
#include "reports/document.hpp"
#include "reports/sample_reports.hpp"
#include "reports/sample_sweep.hpp"
#include "reports/schema_test_support.hpp"
#include "reports/soak.hpp"
#include "reports/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;

const Json &report_schema() { return schema()["definitions"]["report"]["properties"]; }
const Json &process_schema() { return schema()["definitions"]["remaining_process"]["properties"]; }

Json document_of(const Json &report) {
  return {{"schema_version", schema_version}, {"reports", Json::array({report})}};
}

bool from_json_takes(const Json &report) {
  try {
    from_json(report);
    return true;
  } catch (const std::invalid_argument &) {
    return false;
  }
}

/// Follows a reference, an array to its elements, and a choice between null and something to that.
const Json &resolved(const Json &node) {
  if (node.contains("$ref"))
    return schema()[Json::json_pointer(node["$ref"].get<std::string>().substr(1))];
  if (node.contains("oneOf"))
    return resolved(node["oneOf"].back());
  return node.contains("items") ? resolved(node["items"]) : node;
}

/// Calls `visit` for every member that the schema describes below `node`, with its path.
void for_each_member(const Json &node, const std::string &path,
                     const std::function<void(const std::string &, const Json &)> &visit) {
  const auto &object = resolved(node);
  if (!object.contains("properties"))
    return;
  for (const auto &[name, member] : object["properties"].items()) {
    visit(path + "/" + name, member);
    for_each_member(member, path + "/" + name, visit);
  }
}

/// The paths that `json` has, without the indices of arrays.
void collect_paths(const Json &json, const std::string &path, std::set<std::string> &paths) {
  paths.insert(path);
  if (json.is_object())
    for (const auto &[name, value] : json.items())
      collect_paths(value, path + "/" + name, paths);
  if (json.is_array())
    for (const auto &value : json)
      collect_paths(value, path, paths);
}

template <class E>
void check_words(const Json &member, bool nullable = false) {
  Json words = spellings<E>();
  if (nullable)
    words.push_back(nullptr);
  CHECK(member["enum"] == words);
  for (const auto &word : spellings<E>()) {
    INFO(word << " is explained in: " << member["description"]);
    CHECK(member["description"].get<std::string>().find(" " + word + ": ") != std::string::npos);
  }
}

} // namespace

TEST_CASE("full, minimal and no reports are valid", "[report]") {
  CHECK(errors_in(Json::parse(to_document({full_report(), minimal_report()}))) == "");
  CHECK(errors_in(Json::parse(to_document({}))) == "");
  auto report = full_report();
  report.remaining[0].comm = report.remaining[0].command_line[0] = report.subject_stderr = "\xff\x1b[2J\n\"";
  CHECK(errors_in(Json::parse(to_document({report}))) == "");
}

TEST_CASE("the reports of every scenario on every preset are valid, and can be read again", "[report]") {
  TemporaryDirectory directory;
  auto failure = run_in_child(
      [&] {
        auto program = start([&] {
          int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
          for (int fd : {0, 1, 2})
            ::dup2(null, fd);
          ::execl(PIDLEAK_BINARY_DIR "/pidleak", "pidleak", "run", "all", "--jobs", "4", "--report",
                  (directory / "report.json").c_str(), static_cast<char *>(nullptr));
          os::throw_errno("execl({})", PIDLEAK_BINARY_DIR "/pidleak");
        });
        auto status = os::reap(program, Deadline::after(std::chrono::seconds(50)));
        expect(status.has_value(), "pidleak comes to its end");
      },
      std::chrono::seconds(55));
  REQUIRE(failure == "");
  auto document = Json::parse(os::read_file(directory / "report.json"));
  CHECK(errors_in(document) == "");
  REQUIRE(document["reports"].size() > 10);
  auto events = report_schema()["timeline"]["items"]["properties"]["event"]["description"].get<std::string>();
  for (const auto &report : document["reports"]) {
    CHECK(to_json(from_json(report)) == report);
    for (const auto &event : report["timeline"]) {
      INFO("documented: " << event["event"]);
      CHECK(events.find(" " + event["event"].get<std::string>()) != events.npos);
    }
  }
  CHECK(directory.names() == std::set<std::string>{"report.json"});
}

TEST_CASE("a document without one of its members, or with one more, is not valid", "[report]") {
  auto report = to_json(full_report());
  for (const auto &place : places_in(report)) {
    CAPTURE(place.pointer.to_string());
    if (place.removable)
      CHECK(errors_in(document_of(without(report, place))) != "");
    bool map = place.member == "conditions" || place.member == "facts" || place.member == "task_outcomes";
    if (report[place.pointer].is_object() && !map) {
      auto more = report;
      more[place.pointer]["unknown"] = "extra";
      CHECK(errors_in(document_of(more)) != "");
    }
  }
  report["unknown"] = "extra";
  CHECK(errors_in(document_of(report)) != "");
  auto document = Json::parse(to_document({}));
  document["unknown"] = "extra";
  CHECK(errors_in(document) != "");
  CHECK(errors_in({{"reports", Json::array()}}) != "");
  CHECK(errors_in({{"schema_version", 3}}) != "");
  CHECK(errors_in({{"schema_version", 6}, {"reports", Json::array()}}) != "");
}

TEST_CASE("what is valid to the schema is what the program reads", "[report]") {
  auto report = to_json(full_report());
  int valid = 0, invalid = 0;
  for (const auto &place : places_in(report)) {
    auto path = place.pointer.to_string();
    if (path.starts_with("/remaining/2") || path.starts_with("/owner/") || path.starts_with("/growth/groups/0/oldest/"))
      continue; // as /remaining/0
    // Of texts without a meaning to it the program reads more than it writes, and in nothing else.
    bool reads_more =
        place.member == "started" || place.member == "conditions" || place.member == "schema_version"; // earlier ones
    for (const auto &value : strange_values()) {
      if (value == Json(18446744073709551615ULL))
        continue; // valijson takes it for -1
      auto changed = with(report, place, value);
      auto errors = errors_in(document_of(changed));
      bool taken = from_json_takes(changed);
      INFO(place.pointer.to_string() << " = " << value.dump() << ": " << errors);
      // That signals and sigterm agree, and that a parent comes before its children, is beyond the schema.
      auto path_of_place = place.pointer.to_string();
      bool compared = path_of_place.find("/sig") != std::string::npos || place.member == "parent_place";
      CHECK((reads_more || (compared && errors.empty()) || errors.empty() == taken));
      if (reads_more && errors.empty())
        CHECK(taken);
      ++(errors.empty() ? valid : invalid);
    }
  }
  CHECK(valid > 500);
  CHECK(invalid > 1000);
}

TEST_CASE("the samples have every member that the schema has, so that each was tried", "[report]") {
  std::set<std::string> tried;
  auto document = document_of(to_json(full_report()));
  document["sweeps"] = reports::sweeps_to_json({swept()});
  Soak soak([](const Report &) { return std::set<std::string>(); }, 1);
  soak.add(full_report());
  document["soak"] = Json::parse(soak_document(soak, {.seed = 7, .load = {"cpu=2"}, .seconds = 1.5})).at("soak");
  ShardHead head{.shard = {.index = 1, .count = 2, .by = "--shard"}, .verb = "run", .version = "", .plan = "", .machine = "", .kernel = "", .distribution = ""};
  sign(head);
  document["shard"] = to_json(head);
  document["shards"] = Json::array({to_json(head)});
  CHECK(errors_in(document) == "");
  collect_paths(document, "", tried);
  for_each_member(schema(), "", [&](const std::string &path, const Json &) {
    CAPTURE(path);
    if (!path.starts_with("/reports/conditions/")) // a map
      CHECK(tried.contains(path));
  });
}

TEST_CASE("every member is described, and every time with its unit", "[report]") {
  for_each_member(schema(), "", [](const std::string &path, const Json &member) {
    CAPTURE(path);
    REQUIRE(member.contains("description"));
    auto text = member["description"].get<std::string>();
    CHECK(text.size() > 10);
    CHECK(text.ends_with("."));
    if (path.ends_with("_ms") ? !member.contains("properties") : path.find("_ms/") != path.npos)
      CHECK(text.starts_with("Milliseconds "));
    if (path.ends_with("_ticks"))
      CHECK(text.find("clock ticks") != text.npos);
    bool open_map = member.contains("additionalProperties") && member["additionalProperties"] != false;
    if (member.contains("properties") && !open_map)
      CHECK(member["required"].size() == member["properties"].size());
  });
}

TEST_CASE("the schema's words are those of the code, and each is explained", "[report]") {
  check_words<Verdict>(report_schema()["verdict"]);
  check_words<Tier>(report_schema()["tier"]);
  check_words<SettledBy>(report_schema()["settled_by"], true);
  check_words<census::ProcessState>(process_schema()["state"]);
  check_words<census::Kind>(process_schema()["kind"]);
  check_words<census::Cause>(process_schema()["diagnosis"]["items"]["properties"]["cause"]);
  check_words<os::SignalAction>(process_schema()["sigterm"], true);
  const auto &conditions = report_schema()["conditions"]["properties"];
  check_words<Death>(conditions["death"]);
  check_words<Sigterm>(conditions["sigterm"]);
  check_words<HandlerRegistered>(conditions["handler-registered"]);
  check_words<SignalReset>(conditions["signal-reset"]);
  check_words<Victim>(conditions["victim"]);
  check_words<Terminate>(conditions["terminate"]);
  check_words<QueueSlots>(conditions["queue-slots"]);
  check_words<CallQueueState>(conditions["queue"]);
  check_words<StartMethod>(conditions["start-method"]);
  check_words<Tasks>(conditions["tasks"]);
  check_words<DeathPoint>(conditions["death-point"]);
  check_words<Race>(conditions["race"]);
}

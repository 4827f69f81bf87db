// The JSON form of a report. Its schema, with every field explained, is report.schema.json.
#include "reports/process_json.hpp"

namespace pidleak::reports {

namespace {

Json growth_to_json(const census::Growth &growth) {
  Json groups = Json::array();
  for (const auto &group : growth.groups)
    groups.push_back(
        {{"starter",
          {{"pid", group.starter}, {"start_ticks", group.starter_ticks}, {"comm", as_utf8(group.starter_comm)}}},
         {"comm", as_utf8(group.comm)},
         {"from", group.from},
         {"now", group.now},
         {"zombies", group.zombies},
         {"seen", group.seen},
         {"ended", group.ended},
         {"since_ms", group.since_ms},
         {"over_ms", group.over_ms},
         {"per_hour", group.per_hour},
         {"oldest", process_to_json(group.oldest)}});
  return {{"looks", growth.looks},
          {"watched_ms", growth.watched_ms},
          {"processes", growth.processes},
          {"zombies", growth.zombies},
          {"groups", groups}};
}

Json point_fault_to_json(const PointFault &fault) {
  return {{"point", as_utf8(fault.point)},
          {"fault", as_utf8(fault.fault)},
          {"birth", fault.birth},
          {"reached", fault.reached},
          {"call", as_utf8(fault.call)}};
}

Json recording_to_json(const std::vector<RecordedProcess> &recording) {
  Json processes = Json::array();
  for (const auto &process : recording) {
    Json points = Json::array();
    for (const auto &point : process.points)
      points.push_back(
          {{"point", as_utf8(point.point)}, {"about", as_utf8(point.about)}, {"holding", as_utf8(point.holding)}});
    processes.push_back({{"actor", as_utf8(process.actor)}, {"birth", process.birth}, {"points", points}});
  }
  return processes;
}

// --- reading -----------------------------------------------------------------------------------------------------

census::GrowingGroup group_from_json(const Json &json) {
  const auto &starter = object_in(json, "starter");
  return {.starter = read_pid(starter, "pid"),
          .starter_ticks = read<std::uint64_t>(starter, "start_ticks"),
          .starter_comm = read<std::string>(starter, "comm"),
          .comm = read<std::string>(json, "comm"),
          .from = read_count(json, "from"),
          .now = read_count(json, "now"),
          .zombies = read_count(json, "zombies"),
          .seen = read_count(json, "seen"),
          .ended = read_count(json, "ended"),
          .since_ms = read_duration(json, "since_ms"),
          .over_ms = read_duration(json, "over_ms"),
          .per_hour = read_number<double>(json, "per_hour"),
          .oldest = process_from_json(object_in(json, "oldest"))};
}

census::Growth growth_from_json(const Json &json) {
  census::Growth growth{.looks = read_count(json, "looks"),
                        .watched_ms = read_duration(json, "watched_ms"),
                        .processes = read_count(json, "processes"),
                        .zombies = read_count(json, "zombies"),
                        .groups = {}};
  for (const auto &group : list(json, "groups"))
    growth.groups.push_back(group_from_json(group));
  return growth;
}

std::vector<int> read_birth(const Json &json) {
  const auto &numbers = member(json, "birth");
  std::vector<int> birth;
  for (const auto &number : numbers.is_array() ? numbers : Json::array({""})) {
    if (!holds<int>(number) || number.get<int>() < 1)
      throw std::invalid_argument("report: \"birth\" is not a list of numbers from 1");
    birth.push_back(number.get<int>());
  }
  return birth;
}

PointFault point_fault_from_json(const Json &json) {
  return {.point = read<std::string>(json, "point"),
          .fault = read<std::string>(json, "fault"),
          .birth = read_birth(json),
          .reached = read<bool>(json, "reached"),
          .call = read<std::string>(json, "call")};
}

Json adopted_to_json(const std::vector<AdoptedGroup> &groups) {
  Json all = Json::array();
  for (const auto &group : groups)
    all.push_back({{"name", as_utf8(group.name)},
                   {"created_by", texts(group.created_by)},
                   {"never_waited_for", group.never_waited_for},
                   {"count", group.count}});
  return all;
}

std::vector<AdoptedGroup> adopted_from_json(const Json &json) {
  std::vector<AdoptedGroup> groups;
  for (const auto &group : list(json, "adopted"))
    groups.push_back({.name = read<std::string>(group, "name"),
                      .created_by = read<std::vector<std::string>>(group, "created_by"),
                      .never_waited_for = read<bool>(group, "never_waited_for"),
                      .count = read_number<std::size_t>(group, "count", 1)});
  return groups;
}

Json lives_to_json(const Lives &lives) {
  Json processes = Json::array();
  for (const auto &life : lives.processes)
    processes.push_back({{"pid", life.pid},
                         {"parent_place", or_null(life.parent)},
                         {"command_line", texts(life.command_line)},
                         {"started_ms", life.started_ms},
                         {"ended_ms", or_null(life.ended_ms)}});
  return {{"processes", processes}, {"left_out", lives.left_out}};
}

Lives lives_from_json(const Json &object, const char *name) {
  const auto &json = object_in(object, name);
  Lives lives{.processes = {}, .left_out = read_number<std::size_t>(json, "left_out")};
  for (const auto &life : list(json, "processes")) {
    lives.processes.push_back(
        {.pid = read_pid(life, "pid"),
         .parent = read_or_null(life, "parent_place",
                                [](const Json &of, const char *which) { return read_number<std::size_t>(of, which); }),
         .command_line = read<std::vector<std::string>>(life, "command_line"),
         .started_ms = read_duration(life, "started_ms"),
         .ended_ms = read_or_null(life, "ended_ms", read_duration)});
    if (auto parent = lives.processes.back().parent; parent && *parent + 1 >= lives.processes.size())
      throw std::invalid_argument("report: \"parent_place\" is not one before it");
  }
  return lives;
}

RecordedProcess recorded_process_from_json(const Json &json) {
  RecordedProcess process{.actor = read<std::string>(json, "actor"), .birth = read_birth(json), .points = {}};
  for (const auto &point : list(json, "points"))
    process.points.push_back({.point = read<std::string>(point, "point"),
                              .about = read<std::string>(point, "about"),
                              .holding = read<std::string>(point, "holding")});
  return process;
}

/// Version 2 has more members.
void add_what_version_2_has(Json &json) {
  json["owner"] = nullptr;
  json["suppressions"] = Json::array();
  list(json, "remaining"); // or an error
  for (auto &process : json["remaining"]) {
    process["diagnosis"] = Json::array();
    process["suppressed_by"] = nullptr;
    list(process, "waits");
    for (auto &wait : process["waits"]) {
      wait["object"] = "";
      wait["stack"] = Json::array();
    }
  }
}

void add_what_processes_have(Json &process) {
  process["attributes"] = nullptr;
  process["created_by"] = Json::array();
  process["forked_at"] = Json::array();
  process["ended_by"] = nullptr;
  process["is_root"] = true;
  list(process, "diagnosis");
  for (auto &finding : process["diagnosis"]) {
    finding["waits_for"] = Json::array();
    finding["cure"] = "";
  }
}

void add_what_version_5_has(Json &json) {
  json["genealogy"] = nullptr;
  json["lives"] = nullptr;
  json["at_timeout"] = Json::array();
  list(json, "remaining");
  for (auto &process : json["remaining"])
    add_what_processes_have(process);
  if (json.contains("owner") && json["owner"].is_object())
    add_what_processes_have(json["owner"]);
  if (json.contains("growth") && json["growth"].is_object()) {
    list(json["growth"], "groups");
    for (auto &group : json["growth"]["groups"]) {
      object_in(group, "oldest");
      add_what_processes_have(group["oldest"]);
    }
  }
}

Json as_current_version(Json json, int version) {
  if (version < 2)
    add_what_version_2_has(json);
  if (version < 3)
    json["growth"] = nullptr;
  if (version < 4) {
    json["point_fault"] = nullptr;
    json["recording"] = Json::array();
    json["task_outcomes"] = Json::object();
  }
  if (version < 5)
    add_what_version_5_has(json);
  json["schema_version"] = schema_version;
  return json;
}

} // namespace

Json to_json(const Report &report) {
  Json evidence = Json::array(), timeline = Json::array(), remaining = Json::array(), suppressions = Json::array(),
       at_timeout = Json::array();
  for (const auto &item : report.evidence)
    evidence.push_back({{"condition", as_utf8(item.condition)},
                        {"shown", item.shown},
                        {"text", as_utf8(item.text)},
                        {"facts", texts(item.facts)}});
  for (const auto &event : report.timeline)
    timeline.push_back({{"at_ms", event.at_ms},
                        {"event", as_utf8(event.event)},
                        {"pid", or_null(event.pid)},
                        {"detail", as_utf8(event.detail)}});
  for (const auto &process : report.remaining)
    remaining.push_back(process_to_json(process));
  for (const auto &process : report.at_timeout)
    at_timeout.push_back(process_to_json(process));
  for (const auto &suppression : report.suppressions)
    suppressions.push_back({{"rule", as_utf8(suppression.rule)},
                            {"reason", as_utf8(suppression.reason)},
                            {"expires", as_utf8(suppression.expires)},
                            {"expired", suppression.expired},
                            {"used", suppression.used}});
  return {{"schema_version", report.schema},
          {"tool", {{"name", "pidleak"}, {"version", as_utf8(report.tool_version)}}},
          {"machine", {{"kernel", as_utf8(report.kernel)}, {"user", report.user}}},
          {"started", as_utf8(report.started)},
          {"scenario", as_utf8(report.scenario)},
          {"pool",
           {{"name", as_utf8(report.pool)}, {"version", as_utf8(report.pool_version)}, {"workers", report.workers}}},
          {"conditions", texts(report.conditions)},
          {"verdict", spell(report.verdict)},
          {"reason", as_utf8(report.reason)},
          {"counts", {{"live", report.live}, {"zombies", report.zombies}, {"helpers", report.helpers}}},
          {"tier", spell(report.tier)},
          {"tier_notes", texts(report.tier_notes)},
          {"evidence", evidence},
          {"point_fault", report.point_fault ? point_fault_to_json(*report.point_fault) : Json(nullptr)},
          {"recording", recording_to_json(report.recording)},
          {"task_outcomes", report.task_outcomes},
          {"timeline", timeline},
          {"census",
           {{"complete", report.census_complete},
            {"cgroup_agrees", or_null(report.cgroup_agrees)},
            {"nothing_left_below", or_null(report.nothing_left_below)}}},
          {"genealogy", report.genealogy ? Json({{"state", spell(report.genealogy->state)},
                                                 {"lacks", as_utf8(report.genealogy->lacks)},
                                                 {"handed_over", texts(report.genealogy->handed_over)},
                                                 {"adopted", adopted_to_json(report.genealogy->adopted)}})
                                         : Json(nullptr)},
          {"lives", report.lives ? lives_to_json(*report.lives) : Json(nullptr)},
          {"remaining", remaining},
          {"at_timeout", at_timeout},
          {"owner", report.owner ? process_to_json(*report.owner) : Json(nullptr)},
          {"suppressions", suppressions},
          {"growth", report.growth ? growth_to_json(*report.growth) : Json(nullptr)},
          {"settled_by", report.settled_by ? Json(spell(*report.settled_by)) : Json(nullptr)},
          {"not_quiescent_because", as_utf8(report.not_quiescent_because)},
          {"durations_ms",
           {{"total", report.total_ms}, {"shutdown", or_null(report.shutdown_ms)}, {"settle", report.settle_ms}}},
          {"subject_stderr", as_utf8(report.subject_stderr)}};
}

Report from_json(const Json &told) {
  auto told_version = read<int>(told, "schema_version");
  if (told_version < 1 || told_version > schema_version)
    throw std::invalid_argument(
        fmt::format("report: \"schema_version\" is {}, this program reads 1 to {}", told_version, schema_version));
  const auto changed = told_version == schema_version ? Json() : as_current_version(told, told_version);
  const auto &json = told_version == schema_version ? told : changed;
  Report report;
  const auto &tool = object_in(json, "tool");
  if (read<std::string>(tool, "name") != "pidleak")
    throw std::invalid_argument("report: the tool's \"name\" is not pidleak");
  report.tool_version = read<std::string>(tool, "version");
  report.kernel = read<std::string>(object_in(json, "machine"), "kernel");
  report.user = read<unsigned>(object_in(json, "machine"), "user");
  report.started = read<std::string>(json, "started");
  report.scenario = read<std::string>(json, "scenario");
  const auto &pool = object_in(json, "pool");
  report.pool = read<std::string>(pool, "name");
  report.pool_version = read<std::string>(pool, "version");
  report.workers = read_count(pool, "workers");
  report.conditions = read<std::map<std::string, std::string>>(json, "conditions");
  report.verdict = read_word<Verdict>(json, "verdict");
  report.reason = read<std::string>(json, "reason");
  const auto &counts = object_in(json, "counts");
  report.live = read_count(counts, "live");
  report.zombies = read_count(counts, "zombies");
  report.helpers = read_count(counts, "helpers");
  report.tier = read_word<Tier>(json, "tier");
  report.tier_notes = read<std::vector<std::string>>(json, "tier_notes");
  for (const auto &item : list(json, "evidence"))
    report.evidence.push_back({.condition = read<std::string>(item, "condition"),
                               .shown = read<bool>(item, "shown"),
                               .text = read<std::string>(item, "text"),
                               .facts = read<std::map<std::string, std::string>>(item, "facts")});
  report.point_fault = read_or_null(json, "point_fault", [](const Json &object, const char *name) {
    return point_fault_from_json(object_in(object, name));
  });
  for (const auto &process : list(json, "recording"))
    report.recording.push_back(recorded_process_from_json(process));
  for (const auto &[outcome, count] : object_in(json, "task_outcomes").items())
    report.task_outcomes[outcome] = read_count({{"task_outcomes", count}}, "task_outcomes");
  for (const auto &event : list(json, "timeline"))
    report.timeline.push_back({.at_ms = read_duration(event, "at_ms"),
                               .event = read<std::string>(event, "event"),
                               .pid = read_or_null(event, "pid", read_pid),
                               .detail = read<std::string>(event, "detail")});
  const auto &census = object_in(json, "census");
  report.census_complete = read<bool>(census, "complete");
  report.cgroup_agrees = read_or_null(census, "cgroup_agrees", read<bool>);
  report.nothing_left_below = read_or_null(census, "nothing_left_below", read<bool>);
  report.genealogy = read_or_null(json, "genealogy", [](const Json &object, const char *name) {
    const auto &genealogy = object_in(object, name);
    return GenealogyTold{.state = read_word<census::GenealogyState>(genealogy, "state"),
                         .lacks = read<std::string>(genealogy, "lacks"),
                         .handed_over = read<std::vector<std::string>>(genealogy, "handed_over"),
                         .adopted = adopted_from_json(genealogy)};
  });
  report.lives = read_or_null(json, "lives", lives_from_json);
  for (const auto &process : list(json, "at_timeout"))
    report.at_timeout.push_back(process_from_json(process));
  for (const auto &process : list(json, "remaining"))
    report.remaining.push_back(process_from_json(process));
  report.owner = read_or_null(
      json, "owner", [](const Json &object, const char *name) { return process_from_json(object_in(object, name)); });
  for (const auto &suppression : list(json, "suppressions"))
    report.suppressions.push_back({.rule = read<std::string>(suppression, "rule"),
                                   .reason = read<std::string>(suppression, "reason"),
                                   .expires = read<std::string>(suppression, "expires"),
                                   .expired = read<bool>(suppression, "expired"),
                                   .used = read_count(suppression, "used")});
  report.growth = read_or_null(
      json, "growth", [](const Json &object, const char *name) { return growth_from_json(object_in(object, name)); });
  report.settled_by = read_or_null(json, "settled_by", read_word<SettledBy>);
  report.not_quiescent_because = read<std::string>(json, "not_quiescent_because");
  const auto &durations = object_in(json, "durations_ms");
  report.total_ms = read_duration(durations, "total");
  report.shutdown_ms = read_or_null(durations, "shutdown", read_duration);
  report.settle_ms = read_duration(durations, "settle");
  report.subject_stderr = read<std::string>(json, "subject_stderr");
  return report;
}

} // namespace pidleak::reports

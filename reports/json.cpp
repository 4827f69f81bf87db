// The JSON form of a report. Its schema, with every field explained, is report.schema.json.
#include "harness/base/spelling.hpp"
#include "harness/os/signals.hpp"
#include "reports/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <csignal>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;
using census::RemainingProcess;

namespace {

template <class T>
Json or_null(const std::optional<T> &value) {
  return value ? Json(*value) : Json(nullptr);
}

Json texts(const std::vector<std::string> &all) {
  Json array = Json::array();
  for (const auto &text : all)
    array.push_back(as_utf8(text));
  return array;
}

Json texts(const std::map<std::string, std::string> &all) {
  Json object = Json::object();
  for (const auto &[name, text] : all)
    object[as_utf8(name)] = as_utf8(text);
  return object;
}

Json signal_sets(const os::ProcStatus &status) {
  return {{"pending", os::SignalMask(status.thread_pending.bits() | status.shared_pending.bits()).hex()},
          {"blocked", status.blocked.hex()},
          {"ignored", status.ignored.hex()},
          {"caught", status.caught.hex()}};
}

Json attributes_to_json(const census::Attributes &attributes) {
  return {{"executable", as_utf8(attributes.executable)},
          {"executable_deleted", attributes.executable_deleted},
          {"name_lies", attributes.name_lies},
          {"directory", as_utf8(attributes.directory)},
          {"directory_deleted", attributes.directory_deleted},
          {"user", as_utf8(attributes.user)},
          {"age_ms", attributes.age_ms},
          {"cpu_ms", attributes.cpu_ms},
          {"rss_kib", or_null(attributes.rss_kib)},
          {"pss_kib", or_null(attributes.pss_kib)},
          {"listens", texts(attributes.listens)},
          {"locks", texts(attributes.locks)},
          {"outputs", texts(attributes.outputs)},
          {"is_namespace_init", attributes.is_namespace_init}};
}

Json process_to_json(const RemainingProcess &process) {
  Json waits = Json::array(), pipes = Json::array(), diagnosis = Json::array();
  for (const auto &wait : process.waits) {
    Json arguments = Json::array();
    for (auto argument : wait.arguments)
      arguments.push_back(fmt::format("{:#x}", argument));
    waits.push_back({{"thread", wait.thread},
                     {"state", as_utf8(std::string(1, wait.state))},
                     {"syscall", as_utf8(wait.syscall)},
                     {"arguments", arguments},
                     {"object", as_utf8(wait.object)},
                     {"stack", texts(wait.stack)}});
  }
  for (const auto &pipe : process.pipes)
    pipes.push_back({{"fd", pipe.fd}, {"pipe", as_utf8(pipe.target)}, {"reads", pipe.reads}, {"writes", pipe.writes}});
  for (const auto &finding : process.diagnosis)
    diagnosis.push_back({{"cause", spell(finding.cause)}, {"text", as_utf8(finding.text)}});
  return {{"pid", process.pid},
          {"outside_pid", or_null(process.outside_pid)},
          {"parent", process.parent},
          {"start_ticks", process.start_ticks},
          {"state", spell(process.state)},
          {"kind", spell(process.kind)},
          {"role", as_utf8(process.role)},
          {"comm", as_utf8(process.comm)},
          {"command_line", texts(process.command_line)},
          {"sigterm", process.status ? Json(spell(os::action_of(*process.status, SIGTERM))) : Json(nullptr)},
          {"signals", process.status ? signal_sets(*process.status) : Json(nullptr)},
          {"waits", waits},
          {"pipes", pipes},
          {"attributes", process.attributes ? attributes_to_json(*process.attributes) : Json(nullptr)},
          {"diagnosis", diagnosis},
          {"suppressed_by", process.suppressed_by ? Json(as_utf8(*process.suppressed_by)) : Json(nullptr)}};
}

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

const Json &member(const Json &object, const char *name) {
  auto found = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || found == object.end())
    throw std::invalid_argument(fmt::format("report: \"{}\" is missing", name));
  return *found;
}

[[noreturn]] void wrong_type(const char *name) {
  throw std::invalid_argument(fmt::format("report: \"{}\" has the wrong type", name));
}

/// The JSON library takes `true` for an int, and cuts numbers that don't fit.
template <class T>
bool holds(const Json &value) {
  if constexpr (std::is_same_v<T, bool>)
    return value.is_boolean();
  else if constexpr (std::is_integral_v<T>)
    return value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                      : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  else
    return true; // get() throws for every other
}

template <class T>
T read(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!holds<T>(value))
    wrong_type(name);
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception &) {
    wrong_type(name);
  }
}

/// Nothing that a report counts or measures is less than `least`; the schema has the same bounds.
template <class T>
T read_number(const Json &object, const char *name, T least = 0, T most = std::numeric_limits<T>::max()) {
  auto value = read<T>(object, name);
  if (!(value >= least && value <= most))
    throw std::invalid_argument(fmt::format("report: \"{}\" is out of range", name));
  return value;
}

constexpr pid_t largest_pid = 4194304; // PID_MAX_LIMIT of a 64-bit kernel

double read_duration(const Json &object, const char *name) { return read_number<double>(object, name); }

int read_count(const Json &object, const char *name) { return read_number<int>(object, name); }

pid_t read_pid(const Json &object, const char *name) { return read_number<pid_t>(object, name, 1, largest_pid); }

template <class Read>
auto read_or_null(const Json &object, const char *name, Read read) -> std::optional<decltype(read(object, name))> {
  if (member(object, name).is_null())
    return {};
  return read(object, name);
}

/// An array of objects.
const Json &list(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!value.is_array())
    wrong_type(name);
  for (const auto &entry : value)
    if (!entry.is_object())
      wrong_type(name);
  return value;
}

const Json &object_in(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!value.is_object())
    wrong_type(name);
  return value;
}

template <class E>
E read_word(const Json &object, const char *name) {
  auto word = read<std::string>(object, name);
  if (auto value = parse_spelling<E>(word))
    return *value;
  throw std::invalid_argument(
      fmt::format("report: \"{}\" is \"{}\", which is not known", name, printable(word.substr(0, 80))));
}

std::uint64_t parse_hex(std::string_view digits, const char *name) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() > 16 || error != std::errc() || end != digits.data() + digits.size())
    throw std::invalid_argument(fmt::format("report: \"{}\" is not hexadecimal", name));
  return value;
}

/// 16 digits, as the kernel prints it.
os::SignalMask read_mask(const Json &object, const char *name) {
  auto digits = read<std::string>(object, name);
  if (digits.size() != 16)
    throw std::invalid_argument(fmt::format("report: \"{}\" is not 16 hexadecimal digits", name));
  return os::SignalMask(parse_hex(digits, name));
}

/// The letter of /proc/PID/stat.
char read_letter(const Json &object, const char *name) {
  auto text = read<std::string>(object, name);
  if (text.size() != 1)
    throw std::invalid_argument(fmt::format("report: \"{}\" is not one letter", name));
  return text[0];
}

census::ThreadWait wait_from_json(const Json &json) {
  census::ThreadWait wait{.thread = read_pid(json, "thread"),
                          .state = read_letter(json, "state"),
                          .syscall = read<std::string>(json, "syscall"),
                          .arguments = {},
                          .object = read<std::string>(json, "object"),
                          .stack = read<std::vector<std::string>>(json, "stack")};
  auto arguments = read<std::vector<std::string>>(json, "arguments");
  if (arguments.size() > 6) // no system call has more
    throw std::invalid_argument("report: \"arguments\" are too many");
  for (const auto &argument : arguments) {
    if (!argument.starts_with("0x"))
      throw std::invalid_argument("report: \"arguments\" is not hexadecimal");
    wait.arguments.push_back(parse_hex(std::string_view(argument).substr(2), "arguments"));
  }
  return wait;
}

census::Attributes attributes_from_json(const Json &object, const char *name) {
  const auto &json = object_in(object, name);
  auto kib = [](const Json &of, const char *which) { return read_number<long>(of, which); };
  return {.executable = read<std::string>(json, "executable"),
          .executable_deleted = read<bool>(json, "executable_deleted"),
          .name_lies = read<bool>(json, "name_lies"),
          .directory = read<std::string>(json, "directory"),
          .directory_deleted = read<bool>(json, "directory_deleted"),
          .user = read<std::string>(json, "user"),
          .age_ms = read_duration(json, "age_ms"),
          .cpu_ms = read_duration(json, "cpu_ms"),
          .rss_kib = read_or_null(json, "rss_kib", kib),
          .pss_kib = read_or_null(json, "pss_kib", kib),
          .listens = read<std::vector<std::string>>(json, "listens"),
          .locks = read<std::vector<std::string>>(json, "locks"),
          .outputs = read<std::vector<std::string>>(json, "outputs"),
          .is_namespace_init = read<bool>(json, "is_namespace_init")};
}

RemainingProcess process_from_json(const Json &json) {
  RemainingProcess process;
  process.pid = read_pid(json, "pid");
  process.outside_pid = read_or_null(json, "outside_pid", read_pid);
  process.parent = read_number<pid_t>(json, "parent", 0, largest_pid);
  process.start_ticks = read<std::uint64_t>(json, "start_ticks");
  process.state = read_word<census::ProcessState>(json, "state");
  process.kind = read_word<census::Kind>(json, "kind");
  process.role = read<std::string>(json, "role");
  process.comm = read<std::string>(json, "comm");
  process.command_line = read<std::vector<std::string>>(json, "command_line");
  if (!member(json, "signals").is_null()) {
    const auto &sets = object_in(json, "signals");
    process.status.emplace();
    process.status->shared_pending = read_mask(sets, "pending");
    process.status->blocked = read_mask(sets, "blocked");
    process.status->ignored = read_mask(sets, "ignored");
    process.status->caught = read_mask(sets, "caught");
  }
  // Told twice, for readers who don't take masks apart.
  auto sigterm = read_or_null(json, "sigterm", read_word<os::SignalAction>);
  if (sigterm.has_value() != process.status.has_value() ||
      (sigterm && *sigterm != os::action_of(*process.status, SIGTERM)))
    throw std::invalid_argument("report: \"sigterm\" is not what \"signals\" say");
  for (const auto &wait : list(json, "waits"))
    process.waits.push_back(wait_from_json(wait));
  for (const auto &pipe : list(json, "pipes"))
    process.pipes.push_back({.fd = read_count(pipe, "fd"),
                             .target = read<std::string>(pipe, "pipe"),
                             .reads = read<bool>(pipe, "reads"),
                             .writes = read<bool>(pipe, "writes")});
  process.attributes = read_or_null(json, "attributes", attributes_from_json);
  for (const auto &finding : list(json, "diagnosis"))
    process.diagnosis.push_back(
        {.cause = read_word<census::Cause>(finding, "cause"), .text = read<std::string>(finding, "text")});
  process.suppressed_by = read_or_null(json, "suppressed_by", read<std::string>);
  return process;
}

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

/// Every process may have attributes.
void add_what_version_5_has(Json &json) {
  json["at_timeout"] = Json::array();
  list(json, "remaining");
  for (auto &process : json["remaining"])
    process["attributes"] = nullptr;
  if (json.contains("owner") && json["owner"].is_object())
    json["owner"]["attributes"] = nullptr;
  if (json.contains("growth") && json["growth"].is_object()) {
    list(json["growth"], "groups");
    for (auto &group : json["growth"]["groups"]) {
      object_in(group, "oldest");
      group["oldest"]["attributes"] = nullptr;
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
  const auto json = as_current_version(told, told_version);
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

// The JSON form of a report. Its schema, with every field explained, is report.schema.json.
#include "reports/report.hpp"

#include "harness/base/spelling.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;
using census::RemainingProcess;

namespace {

template <class T>
Json or_null(const std::optional<T> &value) {
  return value ? Json(*value) : Json(nullptr);
}

Json signal_sets(const os::ProcStatus &status) {
  return {{"pending", os::SignalMask(status.thread_pending.bits() | status.shared_pending.bits()).hex()},
          {"blocked", status.blocked.hex()},
          {"ignored", status.ignored.hex()},
          {"caught", status.caught.hex()}};
}

Json process_to_json(const RemainingProcess &process) {
  Json command_line = Json::array(), waits = Json::array(), pipes = Json::array();
  for (const auto &argument : process.command_line)
    command_line.push_back(as_utf8(argument));
  for (const auto &wait : process.waits) {
    Json arguments = Json::array();
    for (auto argument : wait.arguments)
      arguments.push_back(fmt::format("{:#x}", argument));
    waits.push_back({{"thread", wait.thread},
                     {"state", std::string(1, wait.state)},
                     {"syscall", wait.syscall},
                     {"arguments", arguments}});
  }
  for (const auto &pipe : process.pipes)
    pipes.push_back({{"fd", pipe.fd}, {"pipe", as_utf8(pipe.target)}, {"reads", pipe.reads}, {"writes", pipe.writes}});
  return {{"pid", process.pid},
          {"outside_pid", or_null(process.outside_pid)},
          {"parent", process.parent},
          {"start_ticks", process.start_ticks},
          {"state", spell(process.state)},
          {"kind", spell(process.kind)},
          {"role", as_utf8(process.role)},
          {"comm", as_utf8(process.comm)},
          {"command_line", command_line},
          {"sigterm", process.status ? Json(spell(os::action_of(*process.status, SIGTERM))) : Json(nullptr)},
          {"signals", process.status ? signal_sets(*process.status) : Json(nullptr)},
          {"waits", waits},
          {"pipes", pipes}};
}

// --- reading -----------------------------------------------------------------------------------------------------

const Json &member(const Json &object, const char *name) {
  auto found = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || found == object.end())
    throw std::invalid_argument(fmt::format("report: \"{}\" is missing", name));
  return *found;
}

template <class T>
T read(const Json &object, const char *name) {
  try {
    return member(object, name).get<T>();
  } catch (const nlohmann::json::exception &) {
    throw std::invalid_argument(fmt::format("report: \"{}\" has the wrong type", name));
  }
}

template <class T>
std::optional<T> read_or_null(const Json &object, const char *name) {
  if (member(object, name).is_null())
    return {};
  return read<T>(object, name);
}

template <class E>
E read_word(const Json &object, const char *name) {
  auto word = read<std::string>(object, name);
  if (auto value = parse_spelling<E>(word))
    return *value;
  throw std::invalid_argument(fmt::format("report: \"{}\" is \"{}\", which is not known", name, word));
}

os::SignalMask read_mask(const Json &object, const char *name) {
  return os::SignalMask(std::stoull(read<std::string>(object, name), nullptr, 16));
}

RemainingProcess process_from_json(const Json &json) {
  RemainingProcess process;
  process.pid = read<pid_t>(json, "pid");
  process.outside_pid = read_or_null<pid_t>(json, "outside_pid");
  process.parent = read<pid_t>(json, "parent");
  process.start_ticks = read<std::uint64_t>(json, "start_ticks");
  process.state = read_word<census::ProcessState>(json, "state");
  process.kind = read_word<census::Kind>(json, "kind");
  process.role = read<std::string>(json, "role");
  process.comm = read<std::string>(json, "comm");
  process.command_line = read<std::vector<std::string>>(json, "command_line");
  if (const auto &sets = member(json, "signals"); !sets.is_null()) {
    process.status.emplace();
    process.status->shared_pending = read_mask(sets, "pending");
    process.status->blocked = read_mask(sets, "blocked");
    process.status->ignored = read_mask(sets, "ignored");
    process.status->caught = read_mask(sets, "caught");
  }
  for (const auto &wait : member(json, "waits")) {
    census::ThreadWait read_wait{.thread = read<pid_t>(wait, "thread"),
                                 .state = (read<std::string>(wait, "state") + "?")[0],
                                 .syscall = read<std::string>(wait, "syscall"),
                                 .arguments = {}};
    for (const auto &argument : read<std::vector<std::string>>(wait, "arguments"))
      read_wait.arguments.push_back(std::stoull(argument, nullptr, 16));
    process.waits.push_back(read_wait);
  }
  for (const auto &pipe : member(json, "pipes"))
    process.pipes.push_back({.fd = read<int>(pipe, "fd"),
                             .target = read<std::string>(pipe, "pipe"),
                             .reads = read<bool>(pipe, "reads"),
                             .writes = read<bool>(pipe, "writes")});
  return process;
}

} // namespace

std::string as_utf8(const std::string &bytes) {
  if (std::all_of(bytes.begin(), bytes.end(), [](unsigned char byte) { return byte < 0x80; }))
    return bytes;
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    // The longest valid sequence that starts here: the JSON library knows what is valid.
    std::size_t length = 0;
    for (std::size_t tried = 1; tried <= 4 && at + tried <= bytes.size() && length == 0; ++tried)
      try {
        (void)nlohmann::json(bytes.substr(at, tried)).dump();
        length = tried;
      } catch (const nlohmann::json::type_error &) {
        continue;
      }
    text += length ? bytes.substr(at, length) : fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[at]));
    at += length ? length : 1;
  }
  return text;
}

Json to_json(const Report &report) {
  Json evidence = Json::array(), timeline = Json::array(), remaining = Json::array();
  for (const auto &item : report.evidence)
    evidence.push_back(
        {{"condition", item.condition}, {"shown", item.shown}, {"text", as_utf8(item.text)}, {"facts", item.facts}});
  for (const auto &event : report.timeline)
    timeline.push_back({{"at_ms", event.at_ms},
                        {"event", event.event},
                        {"pid", or_null(event.pid)},
                        {"detail", as_utf8(event.detail)}});
  for (const auto &process : report.remaining)
    remaining.push_back(process_to_json(process));
  return {{"schema_version", report.schema},
          {"tool", {{"name", "pidleak"}, {"version", report.tool_version}}},
          {"machine", {{"kernel", report.kernel}, {"user", report.user}}},
          {"started", report.started},
          {"scenario", report.scenario},
          {"pool", {{"name", report.pool}, {"version", as_utf8(report.pool_version)}, {"workers", report.workers}}},
          {"conditions", report.conditions},
          {"verdict", spell(report.verdict)},
          {"reason", as_utf8(report.reason)},
          {"counts", {{"live", report.live}, {"zombies", report.zombies}, {"helpers", report.helpers}}},
          {"tier", spell(report.tier)},
          {"tier_notes", report.tier_notes},
          {"evidence", evidence},
          {"timeline", timeline},
          {"census",
           {{"complete", report.census_complete},
            {"cgroup_agrees", or_null(report.cgroup_agrees)},
            {"nothing_left_below", or_null(report.nothing_left_below)}}},
          {"remaining", remaining},
          {"settled_by", report.settled_by ? Json(spell(*report.settled_by)) : Json(nullptr)},
          {"not_quiescent_because", as_utf8(report.not_quiescent_because)},
          {"durations_ms",
           {{"total", report.total_ms}, {"shutdown", or_null(report.shutdown_ms)}, {"settle", report.settle_ms}}},
          {"subject_stderr", as_utf8(report.subject_stderr)}};
}

Report from_json(const Json &json) {
  Report report;
  report.schema = read<int>(json, "schema_version");
  if (report.schema != schema_version)
    throw std::invalid_argument(
        fmt::format("report: schema version {}, this program reads {}", report.schema, schema_version));
  report.tool_version = read<std::string>(member(json, "tool"), "version");
  report.kernel = read<std::string>(member(json, "machine"), "kernel");
  report.user = read<unsigned>(member(json, "machine"), "user");
  report.started = read<std::string>(json, "started");
  report.scenario = read<std::string>(json, "scenario");
  const auto &pool = member(json, "pool");
  report.pool = read<std::string>(pool, "name");
  report.pool_version = read<std::string>(pool, "version");
  report.workers = read<int>(pool, "workers");
  report.conditions = read<std::map<std::string, std::string>>(json, "conditions");
  report.verdict = read_word<Verdict>(json, "verdict");
  report.reason = read<std::string>(json, "reason");
  const auto &counts = member(json, "counts");
  report.live = read<int>(counts, "live");
  report.zombies = read<int>(counts, "zombies");
  report.helpers = read<int>(counts, "helpers");
  report.tier = read_word<Tier>(json, "tier");
  report.tier_notes = read<std::vector<std::string>>(json, "tier_notes");
  for (const auto &item : member(json, "evidence"))
    report.evidence.push_back({.condition = read<std::string>(item, "condition"),
                               .shown = read<bool>(item, "shown"),
                               .text = read<std::string>(item, "text"),
                               .facts = read<std::map<std::string, std::string>>(item, "facts")});
  for (const auto &event : member(json, "timeline"))
    report.timeline.push_back({.at_ms = read<double>(event, "at_ms"),
                               .event = read<std::string>(event, "event"),
                               .pid = read_or_null<pid_t>(event, "pid"),
                               .detail = read<std::string>(event, "detail")});
  const auto &census = member(json, "census");
  report.census_complete = read<bool>(census, "complete");
  report.cgroup_agrees = read_or_null<bool>(census, "cgroup_agrees");
  report.nothing_left_below = read_or_null<bool>(census, "nothing_left_below");
  for (const auto &process : member(json, "remaining"))
    report.remaining.push_back(process_from_json(process));
  if (!member(json, "settled_by").is_null())
    report.settled_by = read_word<SettledBy>(json, "settled_by");
  report.not_quiescent_because = read<std::string>(json, "not_quiescent_because");
  const auto &durations = member(json, "durations_ms");
  report.total_ms = read<double>(durations, "total");
  report.shutdown_ms = read_or_null<double>(durations, "shutdown");
  report.settle_ms = read<double>(durations, "settle");
  report.subject_stderr = read<std::string>(json, "subject_stderr");
  return report;
}

std::string to_document(const std::vector<Report> &reports) {
  Json all = Json::array();
  for (const auto &report : reports)
    all.push_back(to_json(report));
  return Json{{"schema_version", schema_version}, {"reports", all}}.dump(2) + "\n";
}

} // namespace pidleak::reports

// The JSON form of a report. Its schema, with every field explained, is report.schema.json.
#include "harness/base/spelling.hpp"
#include "harness/os/signals.hpp"
#include "reports/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <csignal>
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

Json process_to_json(const RemainingProcess &process) {
  Json waits = Json::array(), pipes = Json::array();
  for (const auto &wait : process.waits) {
    Json arguments = Json::array();
    for (auto argument : wait.arguments)
      arguments.push_back(fmt::format("{:#x}", argument));
    waits.push_back({{"thread", wait.thread},
                     {"state", as_utf8(std::string(1, wait.state))},
                     {"syscall", as_utf8(wait.syscall)},
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
          {"command_line", texts(process.command_line)},
          {"sigterm", process.status ? Json(spell(os::action_of(*process.status, SIGTERM))) : Json(nullptr)},
          {"signals", process.status ? signal_sets(*process.status) : Json(nullptr)},
          {"waits", waits},
          {"pipes", pipes}};
}

// --- text ------------------------------------------------------------------------------------------------

/// Bytes of the well-formed sequence that `bytes` start with (The Unicode Standard, table 3-7); 0: there is none.
std::size_t well_formed(std::string_view bytes) {
  auto byte = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  auto lead = byte(0);
  if (lead < 0x80)
    return 1;
  std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  // The second byte tells overlong forms, surrogates and what is beyond U+10FFFF.
  auto least = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
  auto most = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
  if (byte(1) < least || byte(1) > most)
    return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf)
      return 0;
  return length;
}

/// The code point of a well-formed sequence that a terminal obeys instead of showing it, else 0: C1 controls
/// (U+009B starts an escape sequence), line separators, and those that turn the direction of what follows.
unsigned format_control(std::string_view sequence) {
  auto bits = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]) & 0x3fU; };
  unsigned point = 0;
  if (sequence.size() == 2)
    point = (static_cast<unsigned char>(sequence[0]) & 0x1fU) << 6 | bits(1);
  else if (sequence.size() == 3)
    point = (static_cast<unsigned char>(sequence[0]) & 0x0fU) << 12 | bits(1) << 6 | bits(2);
  bool obeyed = (point >= 0x80 && point <= 0x9f) || point == 0x61c || point == 0x200e || point == 0x200f ||
                (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return obeyed ? point : 0;
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

template <class T>
std::optional<T> read_or_null(const Json &object, const char *name) {
  if (member(object, name).is_null())
    return {};
  return read<T>(object, name);
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
  if (error != std::errc() || end != digits.data() + digits.size())
    throw std::invalid_argument(fmt::format("report: \"{}\" is not hexadecimal", name));
  return value;
}

os::SignalMask read_mask(const Json &object, const char *name) {
  return os::SignalMask(parse_hex(read<std::string>(object, name), name));
}

/// The letter of /proc/PID/stat.
char read_letter(const Json &object, const char *name) {
  auto text = read<std::string>(object, name);
  if (text.size() != 1)
    throw std::invalid_argument(fmt::format("report: \"{}\" is not one letter", name));
  return text[0];
}

census::ThreadWait wait_from_json(const Json &json) {
  census::ThreadWait wait{.thread = read<pid_t>(json, "thread"),
                          .state = read_letter(json, "state"),
                          .syscall = read<std::string>(json, "syscall"),
                          .arguments = {}};
  for (const auto &argument : read<std::vector<std::string>>(json, "arguments")) {
    if (!argument.starts_with("0x"))
      throw std::invalid_argument("report: \"arguments\" is not hexadecimal");
    wait.arguments.push_back(parse_hex(std::string_view(argument).substr(2), "arguments"));
  }
  return wait;
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
  if (!member(json, "signals").is_null()) {
    const auto &sets = object_in(json, "signals");
    process.status.emplace();
    process.status->shared_pending = read_mask(sets, "pending");
    process.status->blocked = read_mask(sets, "blocked");
    process.status->ignored = read_mask(sets, "ignored");
    process.status->caught = read_mask(sets, "caught");
  }
  for (const auto &wait : list(json, "waits"))
    process.waits.push_back(wait_from_json(wait));
  for (const auto &pipe : list(json, "pipes"))
    process.pipes.push_back({.fd = read<int>(pipe, "fd"),
                             .target = read<std::string>(pipe, "pipe"),
                             .reads = read<bool>(pipe, "reads"),
                             .writes = read<bool>(pipe, "writes")});
  return process;
}

} // namespace

std::string as_utf8(const std::string &bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::string_view rest = bytes; !rest.empty();) {
    auto length = well_formed(rest);
    if (length)
      text += rest.substr(0, length);
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[0]));
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return text;
}

std::string printable(const std::string &bytes, LineBreaks breaks) {
  auto utf8 = as_utf8(bytes);
  std::string text;
  text.reserve(utf8.size());
  for (std::string_view rest = utf8; !rest.empty();) {
    auto sequence = rest.substr(0, well_formed(rest));
    auto first = static_cast<unsigned char>(sequence[0]);
    bool kept = breaks == LineBreaks::kept && (first == '\n' || first == '\t');
    if ((first < 0x20 && !kept) || first == 0x7f)
      text += fmt::format("\\x{:02x}", first);
    else if (auto point = format_control(sequence))
      text += fmt::format("\\u{:04x}", point);
    else
      text += sequence;
    rest.remove_prefix(sequence.size());
  }
  return text;
}

Json to_json(const Report &report) {
  Json evidence = Json::array(), timeline = Json::array(), remaining = Json::array();
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
        fmt::format("report: \"schema_version\" is {}, this program reads {}", report.schema, schema_version));
  report.tool_version = read<std::string>(object_in(json, "tool"), "version");
  report.kernel = read<std::string>(object_in(json, "machine"), "kernel");
  report.user = read<unsigned>(object_in(json, "machine"), "user");
  report.started = read<std::string>(json, "started");
  report.scenario = read<std::string>(json, "scenario");
  const auto &pool = object_in(json, "pool");
  report.pool = read<std::string>(pool, "name");
  report.pool_version = read<std::string>(pool, "version");
  report.workers = read<int>(pool, "workers");
  report.conditions = read<std::map<std::string, std::string>>(json, "conditions");
  report.verdict = read_word<Verdict>(json, "verdict");
  report.reason = read<std::string>(json, "reason");
  const auto &counts = object_in(json, "counts");
  report.live = read<int>(counts, "live");
  report.zombies = read<int>(counts, "zombies");
  report.helpers = read<int>(counts, "helpers");
  report.tier = read_word<Tier>(json, "tier");
  report.tier_notes = read<std::vector<std::string>>(json, "tier_notes");
  for (const auto &item : list(json, "evidence"))
    report.evidence.push_back({.condition = read<std::string>(item, "condition"),
                               .shown = read<bool>(item, "shown"),
                               .text = read<std::string>(item, "text"),
                               .facts = read<std::map<std::string, std::string>>(item, "facts")});
  for (const auto &event : list(json, "timeline"))
    report.timeline.push_back({.at_ms = read<double>(event, "at_ms"),
                               .event = read<std::string>(event, "event"),
                               .pid = read_or_null<pid_t>(event, "pid"),
                               .detail = read<std::string>(event, "detail")});
  const auto &census = object_in(json, "census");
  report.census_complete = read<bool>(census, "complete");
  report.cgroup_agrees = read_or_null<bool>(census, "cgroup_agrees");
  report.nothing_left_below = read_or_null<bool>(census, "nothing_left_below");
  for (const auto &process : list(json, "remaining"))
    report.remaining.push_back(process_from_json(process));
  if (!member(json, "settled_by").is_null())
    report.settled_by = read_word<SettledBy>(json, "settled_by");
  report.not_quiescent_because = read<std::string>(json, "not_quiescent_because");
  const auto &durations = object_in(json, "durations_ms");
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

// A remaining process as JSON, and back.
#include "reports/process_json.hpp"

#include "harness/os/signals.hpp"

#include <charconv>
#include <csignal>

namespace pidleak::reports {

using census::RemainingProcess;

namespace {

Json signal_sets(const os::ProcStatus &status) {
  return {{"pending", os::SignalMask(status.thread_pending.bits() | status.shared_pending.bits()).hex()},
          {"blocked", status.blocked.hex()},
          {"ignored", status.ignored.hex()},
          {"caught", status.caught.hex()}};
}

Json creators_to_json(const std::vector<census::Creator> &creators) {
  Json all = Json::array();
  for (const auto &creator : creators)
    all.push_back({{"pid", creator.pid},
                   {"command_line", texts(creator.command_line)},
                   {"started_ms", creator.started_ms},
                   {"ended_ms", or_null(creator.ended_ms)}});
  return all;
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

} // namespace

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
    diagnosis.push_back({{"cause", spell(finding.cause)},
                         {"text", as_utf8(finding.text)},
                         {"waits_for", finding.waits_for},
                         {"cure", as_utf8(finding.cure)}});
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
          {"created_by", creators_to_json(process.created_by)},
          {"forked_at", texts(process.forked_at)},
          {"diagnosis", diagnosis},
          {"is_root", process.is_root},
          {"suppressed_by", process.suppressed_by ? Json(as_utf8(*process.suppressed_by)) : Json(nullptr)},
          {"ended_by", process.ended_by ? Json(spell(*process.ended_by)) : Json(nullptr)}};
}

namespace {

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

} // namespace

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
  for (const auto &creator : list(json, "created_by"))
    process.created_by.push_back({.pid = read_pid(creator, "pid"),
                                  .command_line = read<std::vector<std::string>>(creator, "command_line"),
                                  .started_ms = read_duration(creator, "started_ms"),
                                  .ended_ms = read_or_null(creator, "ended_ms", read_duration)});
  process.forked_at = read<std::vector<std::string>>(json, "forked_at");
  for (const auto &finding : list(json, "diagnosis"))
    process.diagnosis.push_back({.cause = read_word<census::Cause>(finding, "cause"),
                                 .text = read<std::string>(finding, "text"),
                                 .waits_for = read_pids(finding, "waits_for"),
                                 .cure = read<std::string>(finding, "cure")});
  process.is_root = read<bool>(json, "is_root");
  process.suppressed_by = read_or_null(json, "suppressed_by", read<std::string>);
  process.ended_by = read_or_null(json, "ended_by", read_word<census::EndedBy>);
  return process;
}

} // namespace pidleak::reports

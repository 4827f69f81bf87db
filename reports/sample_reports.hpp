// Hand-made reports for the tests.
#pragma once

#include "reports/report.hpp"

#include <nlohmann/json.hpp>

#include <csignal>
#include <functional>

namespace pidleak::testing {

using reports::Report;

/// Nothing but what every report has; of a replay that was over before it began.
inline Report minimal_report() {
  Report report;
  report.tool_version = "0.1.0";
  report.kernel = "Linux 6.1.0 x86_64";
  report.started = "2026-01-02T03:04:05Z";
  report.scenario = "incident";
  report.pool = "cpython36";
  return report;
}

inline census::RemainingProcess live_worker(pid_t pid) {
  os::ProcStatus status;
  status.shared_pending = os::SignalMask(1ULL << (SIGTERM - 1));
  status.ignored = os::SignalMask(1ULL << (SIGPIPE - 1));
  status.caught = os::SignalMask(1ULL << (SIGTERM - 1) | 1ULL << 63);
  return {.pid = pid,
          .outside_pid = 9000 + pid,
          .parent = 2,
          .start_ticks = 9223372036854775807ULL,
          .state = census::ProcessState::sleeping,
          .kind = census::Kind::live,
          .role = "",
          .comm = "pidleak-subject",
          .command_line = {"pidleak-subject", "--preset", "cpython36"},
          .status = status,
          .waits = {{.thread = pid,
                     .state = 'S',
                     .syscall = "futex",
                     .arguments = {0x7f0012345678, 0, ~0ULL},
                     .object = "lock 00:01:7+0x40",
                     .stack = {"futex_wait", "main"}}},
          .pipes = {{.fd = 4, .target = "pipe:[123]", .reads = true, .writes = false},
                    {.fd = 5, .target = "/tmp/a fifo", .reads = false, .writes = true}},
          .attributes = census::Attributes{.executable = "/usr/bin/perl",
                                           .executable_deleted = true,
                                           .name_lies = true,
                                           .directory = "/tmp/gone",
                                           .directory_deleted = true,
                                           .user = "nobody",
                                           .age_ms = 4200,
                                           .cpu_ms = 110,
                                           .rss_kib = 20480,
                                           .pss_kib = 12288,
                                           .listens = {"tcp 127.0.0.1:8765", "unix @name"},
                                           .locks = {"flock /tmp/lock"},
                                           .outputs = {"stdout", "stderr"},
                                           .is_namespace_init = true},
          .created_by = {{.pid = 3, .command_line = {"setsid", "perl"}, .started_ms = 12.5, .ended_ms = 300.25},
                         {.pid = 2, .command_line = {"make", "test"}, .started_ms = 0, .ended_ms = {}}},
          .forked_at = {"pool.py:12 in start", "main.py:3 in <module>"},
          .diagnosis = {{census::Cause::sigterm_caught, "SIGTERM was sent, and the handler returned"},
                        {.cause = census::Cause::waits_for_lock,
                         .text = "waits for a lock that pid 4 holds",
                         .waits_for = pid == 4 ? std::vector<pid_t>() : std::vector<pid_t>{4},
                         .cure = "use a robust mutex"}},
          .is_root = pid == 4,
          .suppressed_by = {},
          .ended_by = census::EndedBy::sigterm};
}

inline census::RemainingProcess zombie_worker(pid_t pid) {
  census::RemainingProcess process;
  process.pid = pid;
  process.outside_pid = 9000 + pid;
  process.parent = 2;
  process.start_ticks = 42;
  process.state = census::ProcessState::zombie;
  process.kind = census::Kind::zombie;
  process.comm = "pidleak-subject";
  return process;
}

inline census::RemainingProcess helper(pid_t pid) {
  auto process = live_worker(pid);
  process.kind = census::Kind::helper;
  process.role = "resource tracker";
  return process;
}

inline census::GrowingGroup growing_workers() {
  return {.starter = 2,
          .starter_ticks = 41,
          .starter_comm = "gunicorn",
          .comm = "python3",
          .from = 3,
          .now = 9,
          .zombies = 1,
          .seen = 10,
          .ended = 1,
          .since_ms = 1000,
          .over_ms = 511'000,
          .per_hour = 42.5,
          .oldest = live_worker(6)};
}

/// Every member set, and to another value than the minimal report has.
inline Report full_report() {
  auto report = minimal_report();
  report.tool_version = "1.2.3";
  report.kernel = "Linux 6.18.0 aarch64";
  report.user = 4294967294;
  report.started = "2026-11-24T02:25:48Z";
  report.scenario = "fork-vs-spawn";
  report.pool = "cpython312";
  report.pool_version = "3.12.1";
  report.conditions = {
      {"death", "oom"}, {"queue", "full"}, {"sigterm", "handler"}, {"start-method", "fork"}, {"new", "word"}};
  report.workers = 4;
  report.verdict = reports::Verdict::hung;
  report.reason = "shutdown never returned; 1 live and 1 zombie remain";
  report.live = 1;
  report.zombies = 1;
  report.helpers = 1;
  report.tier = reports::Tier::namespace_;
  report.tier_notes = {"no cgroup with the pids controller"};
  report.evidence = {{.condition = "death",
                      .shown = true,
                      .text = "worker 6 was killed by SIGKILL",
                      .facts = {{"pid", "6"}, {"oom kills", "1"}}},
                     {.condition = "queue", .shown = false, .text = "3 of 5 slots were taken", .facts = {}}};
  report.point_fault = reports::PointFault{.point = "worker:shut-down:read#1:entry",
                                           .fault = "errno:EMFILE",
                                           .birth = {2, 1},
                                           .reached = true,
                                           .call = "read of the call queue's pipe"};
  report.recording = {{.actor = "worker",
                       .birth = {1},
                       .points = {{.point = "worker:create-pool:fork#1", .about = "/dev/null", .holding = "a lock"}}}};
  report.task_outcomes = {{"done", 7}, {"unresolved", 1}};
  report.timeline = {{.at_ms = 0.5, .event = "spawned", .pid = 3, .detail = "worker"},
                     {.at_ms = 7.25, .event = "pool-broken", .pid = {}, .detail = ""}};
  report.census_complete = true;
  report.cgroup_agrees = false;
  report.nothing_left_below = true;
  report.genealogy = {
      .state = census::GenealogyState::partial,
      .lacks = "the kernel had no room for all events",
      .handed_over = {"docker"},
      .adopted = {{.name = "true", .created_by = {"perl", "service.pl"}, .never_waited_for = true, .count = 40},
                  {.name = "", .created_by = {}, .never_waited_for = false, .count = 1}}};
  report.lives = {
      .processes = {{.pid = 2, .parent = {}, .command_line = {"make", "test"}, .started_ms = 0, .ended_ms = {}},
                    {.pid = 3, .parent = 0, .command_line = {"cc", "a.c"}, .started_ms = 1.5, .ended_ms = 20.25}},
      .left_out = 7};
  report.remaining = {live_worker(3), zombie_worker(4), helper(5)};
  report.at_timeout = {live_worker(8)};
  report.remaining.back().suppressed_by = "it goes with the machine";
  report.owner = live_worker(2);
  report.suppressions = {{.rule = "kind=helper",
                          .reason = "it goes with the machine",
                          .expires = "2027-01-31",
                          .expired = true,
                          .used = 1}};
  report.growth =
      census::Growth{.looks = 600, .watched_ms = 599'000, .processes = 12, .zombies = 1, .groups = {growing_workers()}};
  report.settled_by = reports::SettledBy::deadline;
  report.not_quiescent_because = "thread 3 sleeps with a timer";
  report.settle_ms = 1.5;
  report.shutdown_ms = 2.25;
  report.total_ms = 1e6;
  report.subject_stderr = "Traceback (most recent call last):\n";
  return report;
}

/// A place in a report's JSON, and the member that an error about it must name: of the elements of an array or a
/// map that is the array or map.
struct Place {
  nlohmann::ordered_json::json_pointer pointer;
  std::string member;
  bool removable; // false: an element of an array or of a map
};

inline void find_places(const nlohmann::ordered_json &json, Place here, std::vector<Place> &places) {
  bool map = here.member == "conditions" || here.member == "facts" || here.member == "task_outcomes";
  if (json.is_object())
    for (const auto &[name, value] : json.items()) {
      places.push_back({here.pointer / name, map ? here.member : name, !map});
      find_places(value, places.back(), places);
    }
  if (json.is_array())
    for (std::size_t i = 0; i < json.size(); ++i) {
      places.push_back({here.pointer / i, here.member, false});
      find_places(json[i], places.back(), places);
    }
}

/// Every member and element below a report.
inline std::vector<Place> places_in(const nlohmann::ordered_json &json) {
  std::vector<Place> places;
  find_places(json, {.pointer = nlohmann::ordered_json::json_pointer(), .member = "", .removable = false}, places);
  return places;
}

/// `json` without the member at `place`.
inline nlohmann::ordered_json without(nlohmann::ordered_json json, const Place &place) {
  json[place.pointer.parent_pointer()].erase(place.pointer.back());
  return json;
}

inline nlohmann::ordered_json with(nlohmann::ordered_json json, const Place &place,
                                   const nlohmann::ordered_json &value) {
  json[place.pointer] = value;
  return json;
}

/// Values of every type, and numbers and texts at and beyond every bound of the format.
inline std::vector<nlohmann::ordered_json> strange_values() {
  using Json = nlohmann::ordered_json;
  return {nullptr,
          true,
          false,
          0,
          1,
          -1,
          2,
          4194304,
          4194305,
          2147483648,
          4294967296,
          18446744073709551615ULL,
          -9223372036854775807LL,
          1.5,
          -0.5,
          1e300,
          "",
          "S",
          "12",
          "0x",
          "0x1ffffffffffffffff",
          "-1",
          "0x-1",
          "xyz",
          "0000000000000000",
          "00000000000000000",
          "000000000000000g",
          "clean",
          "quiescence",
          Json::array(),
          Json::array({1}),
          Json::array({"a"}),
          Json::array({Json::object()}),
          Json::array({nullptr}),
          Json::object(),
          {{"a", "b"}},
          {{"a", 1}}};
}

} // namespace pidleak::testing

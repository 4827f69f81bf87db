// For tests: a report of each verdict, and texts held against reports/goldens. PIDLEAK_UPDATE_GOLDENS=1 in the
// environment writes them anew: then read what has changed as if for the first time.
#pragma once

#include "harness/os/pipe.hpp"
#include "reports/file.hpp"
#include "reports/sample_reports.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

namespace pidleak::testing {

using reports::SettledBy;
using reports::Verdict;

inline void check_golden(const std::string &name, const std::string &text) {
  auto path = fmt::format("{}/reports/goldens/{}", PIDLEAK_SOURCE_DIR, name);
  const char *update = std::getenv("PIDLEAK_UPDATE_GOLDENS");
  if (update && std::string(update) == "1") {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    reports::write_atomically(path, text);
  }
  CHECK(text == os::read_file(path));
}

/// Terminal escapes, broken UTF-8, line ends, what turns the text around: a name that a process may have.
inline const std::string hostile = "\x1b[2J\x9b\n\xc2\x9b\xe2\x80\xae\r\x7f\xff";

inline Report report_of(const std::string &scenario, const std::string &pool, const std::string &start_method,
                        Verdict verdict) {
  auto report = minimal_report();
  report.scenario = scenario;
  report.pool = pool;
  report.conditions = {{"start-method", start_method}};
  report.workers = 4;
  report.verdict = verdict;
  report.total_ms = 18.4;
  return report;
}

inline Report clean(const std::string &pool = "hardened") {
  auto report = report_of("incident", pool, "fork", Verdict::clean);
  report.reason = "no process remains";
  report.census_complete = true;
  report.settled_by = SettledBy::all_gone;
  return report;
}

inline Report leaked() {
  auto report = report_of("incident", "cpython36", "fork", Verdict::leaked);
  report.reason = "3 live workers remain after shutdown returned; queue.Full had ended the management thread";
  report.live = 3;
  report.census_complete = true;
  report.evidence = {{.condition = "queue", .shown = true, .text = "5 of 5 slots were taken", .facts = {}},
                     {.condition = "death", .shown = true, .text = "worker 12 was killed by SIGKILL", .facts = {}}};
  report.remaining = {live_worker(3), live_worker(4), live_worker(11)};
  report.remaining[1].waits = {{.thread = 4, .state = 'R', .syscall = "running", .arguments = {}}};
  report.remaining[2].kind = census::Kind::orphan;
  report.remaining[2].status->caught = {};
  report.settled_by = SettledBy::quiescence;
  report.settle_ms = 6.84;
  report.total_ms = 10031.7;
  return report;
}

inline Report hung() {
  auto report = report_of("fork-vs-spawn", "cpython312", "forkserver", Verdict::hung);
  report.reason = "shutdown never returned; 2 live and 1 zombie remain";
  report.live = 2;
  report.zombies = 1;
  report.helpers = 1;
  report.census_complete = true;
  report.evidence = {{.condition = "sigterm", .shown = true, .text = "handler in 4 of 4 workers", .facts = {}}};
  report.remaining = {live_worker(3), zombie_worker(4), helper(5), live_worker(6)};
  report.remaining[0].waits.push_back({.thread = 7, .state = 'S', .syscall = "poll", .arguments = {}});
  report.remaining[0].waits.push_back({.thread = 8, .state = 'S', .syscall = "poll", .arguments = {}});
  report.remaining[2].outside_pid.reset();
  report.remaining[3].state = census::ProcessState::uninterruptible;
  report.remaining[3].waits[0].syscall = "none";
  report.settled_by = SettledBy::deadline;
  report.settle_ms = 10000;
  report.not_quiescent_because = "thread 8 of 3 waits with a timer";
  return report;
}

/// Nothing remained, but something accumulated.
inline Report grown() {
  auto report = report_of("guard", "gunicorn app:app", "", Verdict::leaked);
  report.conditions.clear();
  report.workers = 0;
  report.reason = "python3 accumulated while it ran";
  report.census_complete = true;
  report.growth = census::Growth{.looks = 600, .watched_ms = 599'000, .groups = {growing_workers()}};
  report.growth->groups.front().oldest.outside_pid.reset();
  return report;
}

inline Report invalid() {
  auto report = report_of("oom-killed-child", "cpython37", "spawn", Verdict::invalid);
  report.reason = "the fault was not shown to have happened: death";
  report.census_complete = true;
  report.evidence = {
      {.condition = "sigterm", .shown = true, .text = "default in 4 of 4 workers", .facts = {}},
      {.condition = "death", .shown = false, .text = "its memory cgroup counted 0 OOM kills", .facts = {}}};
  return report;
}

inline Report skipped(const std::string &scenario, const std::string &pool, const std::string &start_method = "fork") {
  auto report = report_of(scenario, pool, start_method, Verdict::skipped);
  report.reason = "an OOM kill needs a memory cgroup: none is mounted; --oom=sigkill takes its place";
  report.total_ms = 0;
  return report;
}

inline Report broken() {
  auto report = report_of("full-queue-shutdown", "cpython36", "fork", Verdict::broken);
  report.reason = "the subject ended before it said that its pool was made: exited with 1";
  report.subject_stderr =
      "Traceback (most recent call last):\n\tFile \"x.py\"\n\nincident on hardened with fork: clean\n";
  return report;
}

} // namespace pidleak::testing

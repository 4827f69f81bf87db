#include "reports/trace.hpp"

#include "harness/base/json.hpp"
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace pidleak::reports {
namespace {

using Json = nlohmann::ordered_json;

struct Task {
  std::string name;
  double from = 0;
  std::optional<double> to; // the next task of the same process
};

/// What the timeline and the census tell of one process.
struct Life {
  std::string role;
  std::optional<double> from, exited, reaped, remains;
  std::vector<Task> tasks;
  const census::RemainingProcess *remaining = nullptr;

  std::optional<double> ended() const { return exited && reaped ? std::min(exited, reaped) : exited ? exited : reaped; }
};

/// Not in the timeline for themselves: they bound the spans.
bool bounds_a_span(const TimelineEvent &event) {
  static const std::set<std::string> names = {"subject-started", "spawned",         "task-started",      "exited",
                                              "reaped",          "shutdown-called", "shutdown-returned", "remains"};
  return names.contains(event.event);
}

void take(Life &life, const TimelineEvent &event) {
  auto first = [&](std::optional<double> &moment) { moment = moment.value_or(event.at_ms); };
  if (event.event == "subject-started" || event.event == "spawned") {
    first(life.from);
    life.role = event.event == "spawned" ? event.detail : "subject";
  } else if (event.event == "task-started") {
    if (!life.tasks.empty())
      life.tasks.back().to = event.at_ms;
    life.tasks.push_back({.name = event.detail, .from = event.at_ms, .to = {}});
  } else if (event.event == "exited" && event.detail != "it did not") {
    first(life.exited);
  } else if (event.event == "reaped") {
    first(life.reaped);
  } else if (event.event == "remains") {
    first(life.remains);
  }
}

/// In order of appearance.
std::vector<std::pair<pid_t, Life>> lives_of(const Report &report) {
  std::vector<std::pair<pid_t, Life>> lives;
  auto life = [&](pid_t pid) -> Life & {
    auto found = std::find_if(lives.begin(), lives.end(), [&](const auto &known) { return known.first == pid; });
    return found == lives.end() ? lives.emplace_back(pid, Life{}).second : found->second;
  };
  for (const auto &event : report.timeline)
    if (event.pid)
      take(life(*event.pid), event);
  for (const auto &process : report.remaining)
    life(process.pid).remaining = &process;
  return lives;
}

std::optional<double> moment_of(const Report &report, const std::string &name) {
  for (const auto &event : report.timeline)
    if (event.event == name)
      return event.at_ms;
  return {};
}

/// Writes the events of one replay.
class ReplayTrack {
public:
  ReplayTrack(const Report &report, std::size_t number, int &next_pid, Json &events)
      : report_(report), number_(number), next_pid_(next_pid), events_(events), end_(report.total_ms) {
    for (const auto &event : report.timeline)
      end_ = std::max(end_, event.at_ms);
  }

  void write() {
    track_ = new_track("replay", "replay");
    span(track_, spell(report_.verdict), 0, end_, {{"reason", as_utf8(report_.reason)}, {"tier", spell(report_.tier)}});
    if (auto called = moment_of(report_, "shutdown-called")) {
      auto returned = moment_of(report_, "shutdown-returned");
      span(track_, "shutdown", *called, returned.value_or(end_), {{"returned", returned.has_value()}});
    }
    if (report_.lives)
      write_all_lives(*report_.lives);
    std::map<pid_t, int> track_of;
    for (const auto &[pid, life] : lives_of(report_)) {
      auto role = life.role.empty() ? "process" : as_utf8(life.role);
      track_of[pid] = new_track(fmt::format("{} pid {}", role, pid), role);
      write_life(track_of[pid], life);
    }
    for (const auto &event : report_.timeline)
      if (!bounds_a_span(event))
        instant(event.pid ? track_of.at(*event.pid) : track_, event);
  }

private:
  /// A process of its own; the number is also that of its one thread.
  int new_track(const std::string &process, const std::string &thread) {
    int track = next_pid_++;
    auto name = fmt::format("{}. {}: {}", number_, layout::title_of(report_), process);
    metadata(track, "process_name", {{"name", name}});
    metadata(track, "process_sort_index", {{"sort_index", track}});
    metadata(track, "thread_name", {{"name", thread}});
    return track;
  }

  void metadata(int track, const char *name, const Json &arguments) {
    events_.push_back({{"name", name}, {"ph", "M"}, {"ts", 0}, {"pid", track}, {"tid", track}, {"args", arguments}});
  }

  void span(int track, const std::string &name, double from_ms, double to_ms, const Json &arguments,
            std::optional<int> thread = {}) {
    auto from = micros(from_ms);
    events_.push_back({{"name", as_utf8(name)},
                       {"cat", "pidleak"},
                       {"ph", "X"},
                       {"ts", from},
                       {"dur", std::max<std::int64_t>(0, micros(to_ms) - from)},
                       {"pid", track},
                       {"tid", thread.value_or(track)},
                       {"args", arguments}});
  }

  void instant(int track, const TimelineEvent &event) {
    events_.push_back({{"name", as_utf8(event.event)},
                       {"cat", "pidleak"},
                       {"ph", "i"},
                       {"s", event.pid ? "t" : "p"},
                       {"ts", micros(event.at_ms)},
                       {"pid", track},
                       {"tid", track},
                       {"args", {{"detail", as_utf8(event.detail)}}}});
  }

  void write_life(int track, const Life &life) {
    auto ended = life.ended();
    auto from =
        life.from.value_or(life.remains.value_or(life.tasks.empty() ? ended.value_or(end_) : life.tasks[0].from));
    auto to = std::max(from, ended.value_or(end_));
    Json arguments = life.remaining ? about(*life.remaining) : Json::object();
    if (!life.from)
      arguments["start"] = "not told";
    if (ended && life.remaining && *ended < end_) { // it has ended, and is still there
      span(track, "alive", from, to, Json::object());
      span(track, "zombie", to, end_, arguments);
    } else {
      span(track, life.remaining ? "remains" : "alive", from, to, arguments);
      if (life.exited && life.reaped && *life.reaped > *life.exited)
        span(track, "zombie", *life.exited, *life.reaped, Json::object());
    }
    for (const auto &task : life.tasks)
      write_task(track, task, to);
  }

  /// No pool tells when a task ends.
  void write_task(int track, const Task &task, double end_of_life) {
    auto released = moment_of(report_, "tasks-released");
    auto to = end_of_life;
    const char *end = "with its process";
    if (task.to) {
      to = *task.to;
      end = "the next task";
    } else if (released && task.from <= *released && *released <= end_of_life) {
      to = *released;
      end = "tasks-released";
    } else if (released && task.from > *released) {
      to = task.from;
      end = "not told";
    }
    span(track, task.name, task.from, std::min(to, end_of_life), {{"end", end}});
  }

  /// Each in the first lane that is free at its start: so what runs at a time stands one below the other.
  void write_all_lives(const Lives &lives) {
    int track = new_track("all processes", "lane 1");
    std::vector<double> free_from;
    auto by_start = std::vector<const census::Genealogy::Life *>();
    for (const auto &life : lives.processes)
      by_start.push_back(&life);
    std::stable_sort(by_start.begin(), by_start.end(),
                     [](const auto *a, const auto *b) { return a->started_ms < b->started_ms; });
    for (const auto *life : by_start) {
      auto to = std::max(life->started_ms, life->ended_ms.value_or(end_));
      auto lane =
          std::find_if(free_from.begin(), free_from.end(), [&](double from) { return from <= life->started_ms; });
      if (lane == free_from.end())
        lane = free_from.insert(lane, 0);
      *lane = to;
      Json arguments = {{"pid", life->pid},
                        {"command", as_utf8(fmt::format("{}", fmt::join(life->command_line, " ")))},
                        {"ended", life->ended_ms.has_value()}};
      if (life->parent)
        arguments["created by"] =
            as_utf8(fmt::format("{}", fmt::join(lives.processes.at(*life->parent).command_line, " ")));
      span(track, name_of(*life), life->started_ms, to, arguments, track + static_cast<int>(lane - free_from.begin()));
    }
    next_pid_ += static_cast<int>(free_from.size()); // the lanes' numbers are threads of this track alone
  }

  static std::string name_of(const census::Genealogy::Life &life) {
    if (life.command_line.empty())
      return fmt::format("pid {}", life.pid);
    const auto &program = life.command_line.front();
    return program.substr(program.rfind('/') + 1);
  }

  static Json about(const census::RemainingProcess &process) {
    Json causes = Json::array();
    for (const auto &finding : process.diagnosis)
      causes.push_back(cause_of(finding));
    Json arguments = {{"kind", spell(process.kind)},
                      {"comm", as_utf8(process.comm)},
                      {"process", layout::join(row_of(process))},
                      {"diagnosis", causes}};
    if (process.suppressed_by)
      arguments["suppressed_by"] = as_utf8(*process.suppressed_by);
    return arguments;
  }

  static std::int64_t micros(double milliseconds) { return std::llround(std::min(milliseconds, 1e12) * 1000); }

  const Report &report_;
  std::size_t number_;
  int &next_pid_;
  Json &events_;
  double end_; // of the replay
  int track_ = 0;
};

} // namespace

std::string render_trace(const std::vector<Report> &reports) {
  Json events = Json::array();
  int next_pid = 1;
  for (std::size_t i = 0; i < reports.size(); ++i)
    ReplayTrack(reports[i], i + 1, next_pid, events).write();
  return text_of(Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}) + "\n";
}

} // namespace pidleak::reports

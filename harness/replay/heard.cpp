#include "harness/replay/heard.hpp"

#include "harness/os/signals.hpp"
#include "harness/protocol/mistakes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <utility>

namespace pidleak::replay {

using protocol::Message;

namespace {

using Absorb = std::function<void(Heard &, const Message &, Timeline &)>;

void absorb_point(Heard &heard, const Message &event, Timeline &timeline) {
  auto point = event.text("point");
  auto pid = event.pid("pid");
  heard.held.emplace(point, pid);
  if (point != "in-task")
    return timeline.note("held", pid, point);
  heard.task_of[pid] = event.integer("task");
  ++heard.starts[heard.task_of[pid]];
  heard.refuse_working_helpers();
  timeline.note("task-started", pid, fmt::format("task {}", heard.task_of[pid]));
}

/// As many and as long as people read.
std::vector<std::string> lines_of(const Message &started) {
  constexpr std::size_t most_lines = 16, longest = 200;
  auto lines = started.texts("lines");
  lines.resize(std::min(lines.size(), most_lines));
  for (auto &line : lines)
    line = Message::printable(line, longest);
  return lines;
}

/// The pool's processes, as far as they are new.
void absorb_members(Heard &heard, const Message &event, Timeline &timeline) {
  if (event.has("workers"))
    for (pid_t worker : event.pids("workers"))
      if (std::find(heard.workers.begin(), heard.workers.end(), worker) == heard.workers.end()) {
        heard.workers.push_back(worker);
        timeline.note("spawned", worker, "worker");
      }
  for (const auto &helper : event.objects("helpers"))
    if (heard.helpers.emplace(helper.pid("pid"), helper.text("role")).second)
      timeline.note("spawned", helper.pid("pid"), helper.text("role"));
  heard.refuse_working_helpers();
  for (const auto &started : event.objects("forked_at")) {
    auto lines = lines_of(started);
    for (pid_t pid : started.pids("pids"))
      heard.forked_at[pid] = lines;
  }
  if (event.has("queue_capacity"))
    heard.queue_capacity = static_cast<int>(event.integer("queue_capacity"));
}

void absorb_exit(Heard &heard, const Message &event, Timeline &timeline) {
  auto pid = event.pid("pid");
  bool signaled = event.has("signal");
  if (!signaled && !event.has("status"))
    return timeline.note("reaped", pid);
  os::WaitStatus status{.signaled = signaled, .value = static_cast<int>(event.integer(signaled ? "signal" : "status"))};
  heard.exits[pid] = status;
  timeline.note("reaped", pid, status.text());
}

const std::map<std::string, Absorb> &absorbers() {
  static const std::map<std::string, Absorb> all = {
      {"hello",
       [](auto &heard, auto &, auto &timeline) {
         if (std::exchange(heard.said_hello, true))
           heard.note_mistake("hello: said more than once", timeline);
       }},
      {"at", absorb_point},
      {"pool_created",
       [](auto &heard, auto &event, auto &timeline) {
         heard.created = true;
         heard.objects = event.objects("objects");
         absorb_members(heard, event, timeline);
       }},
      {"worker_exited", absorb_exit},
      {"submitted",
       [](auto &heard, auto &event, auto &timeline) {
         heard.submitted = true;
         if (event.has("refused")) {
           heard.refused = Message::printable(event.text("refused"));
           timeline.note("tasks-refused", {}, heard.refused);
         }
         absorb_members(heard, event, timeline);
       }},
      {"queue_depth",
       [](auto &heard, auto &event, auto &) { heard.queue_depth = static_cast<int>(event.integer("depth")); }},
      {"broken",
       [](auto &heard, auto &event, auto &timeline) {
         if (event.has("queue_depth"))
           heard.queue_depth_at_break = static_cast<int>(event.integer("queue_depth"));
         timeline.note("pool-broken", {},
                       heard.queue_depth_at_break
                           ? fmt::format("call queue at {} of {}", *heard.queue_depth_at_break, heard.queue_capacity)
                           : "");
       }},
      {"signal_sent",
       [](auto &heard, auto &event, auto &timeline) {
         auto signal = static_cast<int>(event.integer("signal"));
         if (signal == SIGTERM)
           heard.sent_sigterm.insert(event.pid("pid"));
         timeline.note("signal-sent", event.pid("pid"), os::signal_name(signal));
       }},
      {"breakage_handled",
       [](auto &heard, auto &, auto &timeline) {
         heard.breakage_handled = true;
         timeline.note("breakage-handled");
       }},
      {"management_thread_ended",
       [](auto &heard, auto &event, auto &timeline) {
         heard.management_thread_ended = true;
         heard.management_thread_exception = event.text("exception");
         timeline.note("management-thread-ended", {}, heard.management_thread_exception);
       }},
      {"shutdown_called",
       [](auto &heard, auto &, auto &timeline) {
         heard.shutdown_called = Clock::now();
         timeline.note("shutdown-called");
       }},
      {"shutdown_returned",
       [](auto &heard, auto &event, auto &timeline) {
         heard.shutdown_returned = Clock::now();
         for (const char *outcome : {"done", "failed", "unresolved"})
           if (event.has(outcome))
             heard.outcomes[outcome] = static_cast<int>(event.integer(outcome));
         timeline.note("shutdown-returned");
       }},
      {"survived",
       [](auto &heard, auto &event, auto &timeline) {
         heard.survived_allocation = true;
         timeline.note("survived-allocation", event.pid("pid"));
       }},
      {"error", [](auto &, auto &event, auto &) {
         throw SubjectError("the subject reports an error: " + Message::printable(event.text("message"), 400));
       }}};
  return all;
}

} // namespace

void Timeline::note(const std::string &event, std::optional<pid_t> pid, const std::string &detail) {
  events_.push_back({.at_ms = now_ms(), .event = event, .pid = pid, .detail = detail});
}

void Heard::refuse_working_helpers() const {
  for (const auto &[pid, role] : helpers)
    if (task_of.contains(pid) || std::find(workers.begin(), workers.end(), pid) != workers.end())
      throw protocol::ProtocolError(fmt::format("helpers: pid {} is a worker, and no helper", pid));
}

void Heard::note_mistake(const std::string &mistake, Timeline &timeline) {
  if (mistakes.insert(mistake).second)
    timeline.note("mistake", {}, mistake);
}

void Heard::absorb(const Message &event, Timeline &timeline) {
  for (const auto &mistake : protocol::find_mistakes(event))
    note_mistake(mistake, timeline);
  if (auto found = absorbers().find(event.name()); found != absorbers().end())
    found->second(*this, event, timeline);
}

} // namespace pidleak::replay

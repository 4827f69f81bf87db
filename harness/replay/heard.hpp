// What the subject and its workers have said so far, and the timeline that comes of it.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/protocol/message.hpp"
#include "reports/report.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pidleak::replay {

/// The timeline of a report, in milliseconds since its sandbox was begun.
class Timeline {
public:
  explicit Timeline(Clock::time_point start) : start_(start) {}
  void note(const std::string &event, std::optional<pid_t> pid = {}, const std::string &detail = "");
  double now_ms() const { return milliseconds_between(start_, Clock::now()); }
  /// What has passed without being part of the replay.
  void leave_out(Clock::duration time) { start_ += time; }
  std::vector<reports::TimelineEvent> take() { return std::move(events_); }

private:
  Clock::time_point start_;
  std::vector<reports::TimelineEvent> events_;
};

struct Heard {
  bool said_hello = false;
  bool created = false;
  std::vector<pid_t> workers; // in the pool's order; empty: it starts them later, or does not say
  std::map<pid_t, std::string> helpers;
  std::vector<protocol::Message> objects;              // its pipes and locks by name
  std::map<pid_t, std::vector<std::string>> forked_at; // see RemainingProcess
  int queue_capacity = 0;
  std::optional<int> queue_depth; // the latest answer
  std::optional<int> queue_depth_at_break;
  bool submitted = false; // the latest submit was answered
  std::string refused;    // and what the pool said to it instead of taking the tasks
  bool breakage_handled = false;
  bool management_thread_ended = false;
  std::string management_thread_exception;
  bool survived_allocation = false;
  std::optional<Clock::time_point> shutdown_called, shutdown_returned;
  std::map<pid_t, long long> task_of;           // workers that are in a task, and which
  std::map<long long, int> starts;              // how often each task was started
  std::map<std::string, int> outcomes;          // of the tasks, after shutdown: done, failed, unresolved
  std::set<std::pair<std::string, pid_t>> held; // who is held at which point
  std::set<pid_t> sent_sigterm;                 // to whom the pool has sent it
  std::map<pid_t, os::WaitStatus> exits;        // as the pool tells
  std::set<std::string> mistakes;               // what it said that means nothing

  /// Takes in one event. Throws ProtocolError, and SubjectError for the event `error`.
  void absorb(const protocol::Message &event, Timeline &timeline);
  void note_mistake(const std::string &mistake, Timeline &timeline);
  /// Throws ProtocolError if a worker was declared a helper: helpers may stay, and workers may not.
  void refuse_working_helpers() const;
};

/// The subject says of itself that it can't go on.
class SubjectError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace pidleak::replay

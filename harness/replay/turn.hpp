// The next sandbox is made, and its subject started, while a replay runs. Then it waits for its turn, and nothing in it
// does: so a series takes as long as its replays alone.
#pragma once

#include "harness/base/deadline.hpp"
#include "reports/report.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

struct Inside;

/// The harness is gone: the report has no reader.
class LifelineCut {};

/// The timeline of a report, in milliseconds since its sandbox was begun. The wait for its turn is no part of it.
class Timeline {
public:
  explicit Timeline(Clock::time_point start) : start_(start) {}
  void note(const std::string &event, std::optional<pid_t> pid = {}, const std::string &detail = "");
  double now_ms() const { return milliseconds_between(start_, Clock::now()); }
  void leave_out(Clock::duration time) { start_ += time; }
  std::vector<reports::TimelineEvent> take() { return std::move(events_); }

private:
  Clock::time_point start_;
  std::vector<reports::TimelineEvent> events_;
};

/// Blocks until it is this sandbox's turn, see SandboxOptions::waits_for_turn. Throws LifelineCut, SyscallError.
void wait_for_turn(const Inside &inside, Timeline &timeline);

} // namespace pidleak::replay

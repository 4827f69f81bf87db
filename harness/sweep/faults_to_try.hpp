// From a recording to the faults of a sweep: which point, in which process, which fault.
//
//   plan ──▶ recording_of ──▶ replay ──▶ Report::recording ──▶ faults_to_try ──▶ with_fault ──▶ replay ...
#pragma once

#include "harness/replay/scenario.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::sweep {

/// What a sweep is to try.
struct Choice {
  std::vector<tracing::Actor> actors; // `worker`: the first; `helper`, `child`: each of them
  std::vector<std::string> faults;    // as the user writes them; `errno`: every error that suits the call
  std::vector<std::string> steps;     // empty: all
  std::string point = {};             // this one alone; empty: all
  int sample = 0;                     // so many of all points, by their names; 0: all
};

/// The replay that lists the points of execution: the same, without any fault.
replay::Plan recording_of(replay::Plan plan);
/// Those of one process alone, by its birth: the others run as they will in the sweep, without a stop.
replay::Plan recording_of_one(replay::Plan plan, const tracing::Birth &only);
/// Whether the process with this role is to be swept.
bool is_wanted(const std::string &actor, const Choice &choice);
/// The replay with this fault in place of the scenario's own.
replay::Plan with_fault(replay::Plan plan, replay::PointFault fault);

/// In the order of the recording, one fault after the other.
std::vector<replay::PointFault> faults_to_try(const reports::Report &recording, const Choice &choice);

/// The fault at one point. Nothing if the recording has no such process. Whether it comes to that point, its replay
/// tells.
std::optional<replay::PointFault> fault_at(const reports::Report &recording, const tracing::Point &point,
                                           const tracing::Fault &fault);

} // namespace pidleak::sweep

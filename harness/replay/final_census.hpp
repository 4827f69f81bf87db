// The census at the end of a replay: waits until nothing more leaves, and writes what remains, and why, to the report.
#pragma once

#include "harness/replay/fault_injector.hpp"
#include "harness/replay/stop.hpp"

namespace pidleak::replay {

/// What is counted, and what a diagnosis can't read from the kernel.
struct CensusSite {
  const Plan &plan;
  const Offers &offers;
  const OccupiedWorkers &workers;
  const std::optional<InjectedFault> &fault;
  const std::optional<Stopping> &stopping; // nothing: the owner was not asked to
  Conversation &conversation;
  census::Tree &tree;
};

/// Until `done`, or it is certain that nothing but a signal can change what is left, or the time is over.
void wait_until_stuck(const CensusSite &site, milliseconds bound, const Conversation::Done &done);

/// After shutdown. `since`: when the tasks were released.
void take_census(const CensusSite &site, Clock::time_point since, reports::Report &report);

/// After the subject's end, which no process may outlive: waitid says ECHILD in the end.
void take_census_after_subject(const CensusSite &site, reports::Report &report);

} // namespace pidleak::replay

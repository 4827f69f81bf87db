// Makes the fault of a replay happen: brings the victim to its point, does it, and waits until the pool has reacted.
//
// A new fault is a function beside those in fault_injector.cpp, and a case in inflict().
#pragma once

#include "harness/replay/conversation.hpp"
#include "harness/replay/evidence.hpp"
#include "harness/replay/occupied_workers.hpp"
#include "harness/replay/offers.hpp"
#include "harness/replay/sandbox.hpp"

#include <optional>

namespace pidleak::replay {

/// Where a fault is injected.
struct FaultSite {
  const Plan &plan;
  const Inside &inside;
  const Offers &offers;
  const OccupiedWorkers &workers;
  Conversation &conversation;
  const census::Tree &tree;
};

/// What is known of it.
struct InjectedFault {
  DeathFacts death;
  bool owner_killed = false;
  pid_t died_with_lock = 0;              // the victim, if it had the call queue's lock; 0: it had not
  std::optional<reports::Evidence> race; // of a worker's death only
};

/// Nothing where the conditions have no fault. A fault that did not happen is told by the facts.
std::optional<InjectedFault> inject_fault(const FaultSite &site);

/// Whether the pool is held before it counts its live workers, until those that SIGTERM ends have exited.
bool holds_before_count(const Conditions &conditions, const Offers &offers);

} // namespace pidleak::replay

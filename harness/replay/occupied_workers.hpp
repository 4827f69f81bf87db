// The workers of a replay: each is held as a process once it is known to be in its task, with what SIGTERM does in it.
#pragma once

#include "harness/replay/conversation.hpp"
#include "harness/replay/evidence.hpp"

#include <vector>

namespace pidleak::replay {

/// As they were before the fault.
struct OccupiedWorkers {
  std::vector<os::ProcessRef> processes; // in the order in which the pool lists them, where it does
  Dispositions sigterm;                  // what it does in each
  Disposition owners_sigterm;            // and in the subject
};

/// Submits a task for each worker, and waits until that many processes are in one. Throws SubjectFailure if they are
/// not workers of the subject.
OccupiedWorkers occupy(const Plan &plan, Conversation &conversation, const census::Tree &tree);

} // namespace pidleak::replay

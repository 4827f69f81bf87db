// How the owner of a pool is asked to stop, as the service that it is: SIGTERM, and what comes of it.
#pragma once

#include "harness/replay/conversation.hpp"
#include "reports/report.hpp"

namespace pidleak::replay {

/// What came of SIGTERM in the owner.
enum class Stopping {
  ended,      // the signal has ended it: nothing shuts the pool down
  shuts_down, // it lives on, and was told to shut the pool down, as its handler or its sigwait(3) would tell it
  exits       // its handler ends the program: it may wait for its workers first
};

/// Sends the owner SIGTERM, and waits until it has ended, or nothing moves any more. What came of it is added to the
/// evidence. Throws what the conversation throws.
Stopping ask_owner_to_stop(const Plan &plan, Conversation &conversation, const census::Tree &tree,
                           reports::Report &report);

/// SIGKILL to the owner alone, as the kubelet does it once the grace is over; waits for its end.
void kill_owner(const Plan &plan, Conversation &conversation, reports::Report &report);

} // namespace pidleak::replay

// Why each remaining process is still there: facts in, causes out. What is not known is said to be unknown.
//
// The facts are those that examine() has read of all processes of the replay at one time, the pool's owner among them,
// and what the replay knows beside them.
#pragma once

#include "harness/census/remaining.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace pidleak::census {

struct Knowledge {
  pid_t harness = 0;                          // a child that it adopted has lost its parent
  std::map<pid_t, std::string> ends = {};     // how zombies ended: `killed by SIGKILL`
  std::set<pid_t> sent_sigterm = {};          // to whom the pool has sent it, as far as it says
  std::set<pid_t> caught_from_the_start = {}; // who had a SIGTERM handler before its first task had ended
  bool inherit_handlers = false;              // and whether from the owner: workers are its forks
  std::map<pid_t, std::string> in_task = {};  // who has not been told to end its task, and which it is
  bool all_are_known = true;                  // no process but these can have what they share
  /// The worker that died with the call queue's lock in hand.
  std::optional<pid_t> died_with_lock = {};
};

/// Fills in RemainingProcess::diagnosis of all, and of the owner if there is one. The causes are in the order of Cause.
void diagnose(std::vector<RemainingProcess> &remaining, RemainingProcess *owner, const Knowledge &knowledge);

} // namespace pidleak::census

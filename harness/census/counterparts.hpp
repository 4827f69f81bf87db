// Who has in hand what a process waits for, anywhere on the machine: the other end of its pipe or socket, the lock on
// its file. And for whom these wait in turn.
//
// This reads the descriptors of every process that this user may look at, and is for a user who asks.
#pragma once

#include "harness/census/remaining.hpp"

#include <vector>

namespace pidleak::census {

/// Of the processes that wait, and in turn of those that are found; without them and without the calling process.
std::vector<RemainingProcess> find_counterparts(const std::vector<RemainingProcess> &waiting);

} // namespace pidleak::census

// Which of the processes that remain keep the others: a root waits for none of them, or only for such as wait for it in
// turn.
//
//   perl sleeps ◀── cat reads a pipe that perl holds ◀── bash waits for cat      root: perl
//   a waits for a lock of b ◀──▶ b waits for a lock of a ◀── c waits for b       roots: a and b
#pragma once

#include "harness/census/remaining.hpp"

#include <vector>

namespace pidleak::census {

/// Those that it waits for, by its diagnosis, each once.
std::vector<pid_t> waits_for(const RemainingProcess &process);

/// Sets RemainingProcess::is_root of all, which have been diagnosed. The pool's owner is none of them: it may have what
/// they wait for, and yet they would wait when it has gone.
void find_roots(std::vector<RemainingProcess> &remaining);

/// Puts behind each root those that wait for it, directly or not. Otherwise their order stays.
void order_by_roots(std::vector<RemainingProcess> &remaining);

} // namespace pidleak::census

// The calls that remaining processes are in, taken by pidleak-stack.
#pragma once

#include "harness/census/remaining.hpp"

namespace pidleak::census {

/// Fills in ThreadWait::stack of the process's threads. Disturbs the process: everything else must be known by then.
/// Nothing where the installation has no pidleak-stack (it needs elfutils), or the process may not be traced.
void take_stacks(RemainingProcess &process);

} // namespace pidleak::census

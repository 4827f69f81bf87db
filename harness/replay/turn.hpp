// The next sandbox is made, and its subject started, while a replay runs. Then it waits for its turn, and nothing in it
// does: so a series takes as long as its replays alone.
#pragma once

#include "harness/base/deadline.hpp"

namespace pidleak::replay {

struct Inside;

/// The harness is gone: the report has no reader.
class LifelineCut {};

/// Blocks until it is this sandbox's turn, see SandboxOptions::waits_for_turn, and tells for how long: that is no part
/// of a replay's time. Throws LifelineCut, SyscallError.
Clock::duration wait_for_turn(const Inside &inside);

} // namespace pidleak::replay

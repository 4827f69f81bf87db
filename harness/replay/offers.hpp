// What a subject offers, as its hello says, held against what a replay asks of it.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/protocol/message.hpp"

namespace pidleak::replay {

/// What the driver has to know of it later; PROTOCOL.md explains each.
struct Offers {
  bool runtime_handles_sigterm = false;
  bool reports_breakage = false, reports_queue_depth = false, holds_before_count = false;
  milliseconds longest_timer{0}; // the pool's own
};

/// Reads a hello. Throws Judged, `skipped` with the reason, if it does not offer what the conditions need, and
/// ProtocolError. `real_oom`: the victim is to be OOM-killed, and nothing may stand in for that.
Offers read_offers(const protocol::Message &hello, const Conditions &conditions, bool real_oom);

} // namespace pidleak::replay

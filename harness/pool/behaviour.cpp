#include "harness/pool/behaviour.hpp"

namespace pidleak::pool {

Behaviour behaviour_of(Preset preset) {
  switch (preset) {
  case Preset::cpython36: // shutdown_worker(): put_nowait, and no code catches queue.Full
    return {.sentinels = SentinelPolicy::put_nowait, .tracker = TrackerPolicy::plain};
  case Preset::cpython37: // 3.7 to 3.11: shutdown_workers() tries again while a worker lives. The tracker is that
                          // of 3.8 on
    return {.sentinels = SentinelPolicy::retry_while_alive, .tracker = TrackerPolicy::unblocks_sigterm};
  case Preset::cpython312: // 3.12 on: _terminate_broken() closes the queue, terminates twice and joins for ever
    return {.sentinels = SentinelPolicy::none_when_broken,
            .terminate = TerminatePolicy::again_before_join,
            .tracker = TrackerPolicy::unblocks_sigterm};
  case Preset::hardened:
    return {.sentinels = SentinelPolicy::none_when_broken,
            .terminate = TerminatePolicy::escalate,
            .join = JoinPolicy::bounded,
            .reset_signals = true,
            .workers_hold_write_end = false,
            .reads_whole_results = false,
            .stop_fork_server = true,
            .workers_leave_with_parent = true,
            .exception_breaks_pool = true};
  }
  return {};
}

} // namespace pidleak::pool

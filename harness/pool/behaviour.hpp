// What differs between real process pools, as data. A preset is one named set of it.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/base/start_method.hpp"

#include <boost/describe/enum.hpp>

namespace pidleak::pool {

/// How the workers of a broken pool are told to leave, through the call queue.
BOOST_DEFINE_ENUM_CLASS(SentinelPolicy,
                        put_nowait, // one per live worker; a full queue is an exception that ends the management thread
                        retry_while_alive, // again and again until all are in the queue, or no worker lives
                        none_when_broken)  // the queue is closed; only signals are left

/// What a broken pool does to its workers.
BOOST_DEFINE_ENUM_CLASS(TerminatePolicy,
                        once,              // SIGTERM to each
                        again_before_join, // SIGTERM to each, and once more before each join
                        escalate)          // SIGTERM to each, SIGKILL to those that are left after terminate_grace

/// How long shutdown waits for a worker to end.
BOOST_DEFINE_ENUM_CLASS(JoinPolicy,
                        unbounded, // for ever
                        bounded)   // shutdown_grace in all; then SIGKILL

/// The helper process that spawn and forkserver pools keep, as CPython's resource tracker.
BOOST_DEFINE_ENUM_CLASS(TrackerPolicy, none, plain,
                        unblocks_sigterm) // starting it leaves SIGTERM unblocked in the calling thread

/// The presets: three generations of CPython's ProcessPoolExecutor, and a pool that leaves no child behind.
BOOST_DEFINE_ENUM_CLASS(Preset, cpython36, cpython37, cpython312, hardened)

struct Behaviour {
  SentinelPolicy sentinels = SentinelPolicy::retry_while_alive;
  TerminatePolicy terminate = TerminatePolicy::once;
  JoinPolicy join = JoinPolicy::unbounded;
  TrackerPolicy tracker = TrackerPolicy::none;
  /// Workers put every signal back to its default and unblock it before their first task.
  bool reset_signals = false;
  /// Workers keep the write end of the call queue open, and so never see that the owner is gone.
  bool workers_hold_write_end = true;
  /// Reading a result waits until the whole of it has come, and so for ever if its writer died half way.
  bool reads_whole_results = true;
  /// The fork server is ended by shutdown, not left until the owner exits.
  bool stop_fork_server = false;
  /// Workers end when their parent does, the owner or the fork server, in a task as well.
  bool workers_leave_with_parent = false;
  /// An exception of the management thread breaks the pool: its futures say so, and its workers are ended. Otherwise
  /// it ends that thread alone, and with it the only one that would tell a future or join a worker.
  bool exception_breaks_pool = false;
  /// `escalate`: from SIGTERM to SIGKILL. Too short takes a worker's clean-up from it.
  milliseconds terminate_grace{200};
  /// `bounded`: from the call of shutdown to SIGKILL. Work still unfinished by then is lost.
  milliseconds shutdown_grace{5000};
};

/// The behaviour of a preset. Sources: Lib/concurrent/futures/process.py of CPython 3.6.15, 3.9.18, 3.13.0.
Behaviour behaviour_of(Preset preset);

} // namespace pidleak::pool

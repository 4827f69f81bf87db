// Why a process is still there: a closed list. Each cause rests on facts that the kernel gives; what it does not give
// is said to be unknown.
#pragma once

#include <boost/describe/enum.hpp>
#include <sys/types.h>

#include <string>
#include <vector>

namespace pidleak::census {

BOOST_DEFINE_ENUM_CLASS(
    Cause,
    // what SIGTERM came to
    sigterm_caught,  // a handler ran, and returned
    sigterm_ignored, // SIG_IGN
    sigterm_blocked, // it is pending, and in the mask of every thread
    // what keeps it
    not_reaped,       // it has ended, and its parent has not waited for it
    stopped,          // by a signal, or by a tracer
    lock_of_the_dead, // waits for a lock whose holder has exited
    waits_for_lock,   // waits for a lock without a timeout; the text names the holder if it is known
    pipe_held_open,   // reads a pipe or unix socket; every process that can write to it remains too: no end of file
    pipe_full,        // writes to a full pipe; every process that can read from it remains too
    waits_for_child,  // in a wait for a process that remains
    waits_for_signal, // sleeps until a signal comes
    waits_for_events, // in a poll without a timeout
    waits_for_peer,   // for a descriptor whose other end is not in the replay, or not known
    in_task,          // is still in the task that it was given
    timer,            // sleeps, or waits with a timeout: it would have gone on
    runs,             // is on a CPU
    uninterruptible,  // waits in the kernel, where no signal ends it
    unknown)          // the kernel does not say, or no cause of this list fits

/// A cause, and the facts that it rests on, in one sentence.
struct Finding {
  Cause cause = Cause::unknown;
  std::string text;
  std::vector<pid_t> waits_for = {}; // the other known processes that could end its wait
  std::string cure = {};             // what its author can do; empty: that is not known
};

} // namespace pidleak::census

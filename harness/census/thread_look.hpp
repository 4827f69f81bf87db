// One look at a thread: what it is in, and whether it goes on by itself.
#pragma once

#include "harness/census/walk.hpp"
#include "harness/os/procfs.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pidleak::census {

/// What must be the same in both looks at a thread.
struct ThreadLook {
  pid_t pid, thread;
  char state;
  std::uint64_t switches; // of both kinds
  std::uint64_t waits;    // switches because it waited; no part of what must be the same, as they are in `switches`
  bool has_call;
  os::ProcSyscall call;
  std::uint64_t deliverable; // pending and not blocked
  std::uint64_t cpu_ticks;   // that it has had a CPU, unless it is asleep; no part of what must be the same
  bool operator==(const ThreadLook &o) const {
    return pid == o.pid && thread == o.thread && state == o.state && switches == o.switches &&
           call.number == o.call.number && call.arguments == o.call.arguments && deliverable == o.deliverable;
  }
};

using Looks = std::vector<ThreadLook>;

/// At every thread of one process; none if it has gone, or may not be looked at.
Looks look_at(pid_t pid);
/// At every thread of all that have not exited.
Looks look_at(const std::vector<Member> &members);

/// Empty, or why this thread goes on by itself: what the look alone tells.
std::string why_moving(const ThreadLook &look);

/// A thread that went on by itself when it was looked at.
struct Mover {
  pid_t pid, thread;
  bool runs; // or waits for a CPU; else it waits for a time, say
};
/// Whether it does so now. Most often it does, and then nothing else needs a look.
bool still_moves(const Mover &mover);

} // namespace pidleak::census

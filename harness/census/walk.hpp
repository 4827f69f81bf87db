// Every descendant of a process, zombies included: complete, or it says that it is not.
//
// The walk goes down /proc/PID/task/*/children from the harness, which is the init or the subreaper of everything
// below it: no process leaves this tree by daemonizing, whatever it does to its session, name or descriptors. From
// the subject down (what ps, pgrep and psutil do) everything that was reparented is lost; that walk exists here to
// show so. No cost depends on unrelated processes.
#pragma once

#include "harness/base/deadline.hpp"

#include <boost/describe/enum.hpp>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::census {

BOOST_DEFINE_ENUM_CLASS(ProcessState, running, sleeping, uninterruptible, stopped, zombie)

/// One process as a walk sees it.
struct Member {
  pid_t pid = 0;
  pid_t parent = 0;
  std::uint64_t start_ticks = 0;
  ProcessState state = ProcessState::running; // zombie: every thread has exited; a dead leader alone is not enough
  std::string comm = {};                      // any bytes
  bool operator==(const Member &other) const { return pid == other.pid && start_ticks == other.start_ticks; }
};

/// Nothing if there is no such process, or it was reaped meanwhile.
std::optional<Member> read_member(pid_t pid);

/// Whose descendants.
struct Scope {
  pid_t root = 0; // not itself a member
  /// The root is the init of a PID namespace, which is above all in it but those whom setns(2) has brought in, and
  /// /proc is of that namespace and hides nothing: to read it as one list costs a third.
  bool proc_lists_all = false;
  std::vector<pid_t> except = {}; // children of the root that are no members, nor who is below them: the one that looks
};

/// One pass. A process that forks or ends meanwhile may be missed. `hidden`, if not null: as Walk::hidden.
std::vector<Member> walk_once(const Scope &scope, std::vector<pid_t> *hidden = nullptr);

/// One pass down from each of these, themselves included, as far as they are still there.
std::vector<Member> walk_from(const std::vector<Member> &roots);

struct Walk {
  std::vector<Member> members; // sorted by pid
  /// Two passes one after the other found the same processes, and the same of them dead; or one found none dead, and
  /// nothing forked meanwhile.
  bool complete = false;
  std::vector<pid_t> hidden = {}; // are there, and this user may not see what they are (proc(5), hidepid): not complete
};

/// The same processes, and the same of them dead: no process was missed where two passes in turn agree.
bool agree(const std::vector<Member> &a, const std::vector<Member> &b);

/// Passes until it is complete or the deadline is over.
Walk walk(const Scope &scope, Deadline deadline);

} // namespace pidleak::census

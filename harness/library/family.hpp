// The descendants of this process, each with the thread of this process that its line leads to.
//
// A child is in the list of the thread that has forked it (/proc/self/task/TID/children). Orphans that a subreaper
// adopts, and the children of threads that have ended, are added to that of its first living thread: the main one, as
// long as that has not ended. So of the main thread's list it is not known who has forked whom. The order does not
// tell either: the children of an ended thread come as late as orphans do. (forget_original_parent() in kernel/exit.c)
#pragma once

#include "harness/census/walk.hpp"
#include "harness/os/process_ref.hpp"

#include <vector>

namespace pidleak::library {

/// A thread of this process. Its number alone may be another's later.
struct Thread {
  pid_t id = 0;
  std::uint64_t start_ticks = 0;
  bool operator==(const Thread &other) const { return id == other.id && start_ticks == other.start_ticks; }
};

Thread this_thread();

struct Descendant {
  std::vector<census::Member> line; // from itself up to the child of this process, both included
  Thread forked_by;                 // who has forked that child, where that is certain; id 0 elsewhere
  const census::Member &process() const { return line.front(); }
};

struct Family {
  std::vector<census::Member> members; // as the walk has them
  std::vector<Descendant> descendants; // the same
  std::vector<pid_t> hidden;           // that may not be seen: as in census::Walk
  std::size_t threads = 0;             // of this process
  bool consistent = true;              // each child was in the list of a thread: none has ended meanwhile
};

/// Whether that process is held, which has not been reaped since.
bool is_same(const os::ProcessRef &held, const census::Member &member);

/// One pass, as census::walk_once().
Family read_family();

} // namespace pidleak::library

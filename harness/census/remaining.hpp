// A process that remains, with what the kernel says of it.
#pragma once

#include "harness/census/attributes.hpp"
#include "harness/census/boundary.hpp"
#include "harness/census/cause.hpp"
#include "harness/census/genealogy.hpp"
#include "harness/census/waits.hpp"
#include "harness/census/walk.hpp"
#include "harness/os/procfs.hpp"

#include <map>
#include <optional>
#include <string>

namespace pidleak::census {

/// What sort of remaining process it is. The first that fits, in this order: helper, zombie, stopped, escaped,
/// orphan, live.
BOOST_DEFINE_ENUM_CLASS(Kind, live, zombie, stopped,
                        orphan,  // its parent is gone: the harness has adopted it
                        escaped, // it has left the subject's session, or the replay's cgroup
                        helper)  // declared by the pool: a leak only if it outlives the subject

/// After which signal it ended, of those that guard sends to what remains.
BOOST_DEFINE_ENUM_CLASS(EndedBy, sigterm, sigkill)

/// Before the name of a terminal: who holds that can make it readable.
constexpr std::string_view master_of = "master of ";

/// What is behind a descriptor that a thread waits for.
struct Endpoint {
  std::string object = {}; // `pipe:[INODE]`, `pid N` of a pidfd, or what the descriptor links to
  std::string peer = {};   // of a socket: its other end on this machine, where that can be told
  std::string remote = {}; // of a TCP socket: the address of its other end
  bool reads = true;       // it is open for that, and not for writing alone
};

/// A thread's wait.
struct ThreadWait {
  pid_t thread = 0;
  char state = '?';
  std::string syscall; // name; `running` on a CPU; empty if it may not be read
  std::vector<std::uint64_t> arguments;
  Wait wait = Wait::unknown_call; // what its call means; not a part of reports
  std::string object = {}; // what it waits for, where that can be told: `pipe:[INODE]`, `lock DEVICE:INODE+OFFSET`
  std::string peer = {};   // of a socket that it waits for: see Endpoint; not a part of reports
  std::string remote = {}; // the same; not a part of reports
  std::vector<Endpoint> polled = {};   // in poll(2) and its like; not a part of reports
  bool held_outside = false;           // and a process outside may have that in hand; not a part of reports
  std::vector<std::string> stack = {}; // its calls, the innermost first; empty: not taken
};

/// An end of a pipe or FIFO that it holds.
struct OpenPipe {
  int fd = -1;
  std::string target; // `pipe:[INODE]`, or the FIFO's path
  bool reads = false, writes = false;
};

struct RemainingProcess {
  pid_t pid = 0;                    // inside the sandbox
  std::optional<pid_t> outside_pid; // in the harness's PID namespace
  pid_t parent = 0;
  std::uint64_t start_ticks = 0;
  ProcessState state = ProcessState::running;
  Kind kind = Kind::live;
  std::string role;                      // of a helper, as the pool declares it
  std::string comm;                      // any bytes
  std::vector<std::string> command_line; // any bytes; empty for a zombie
  std::optional<os::ProcStatus> status;  // signal sets; none of a zombie
  std::vector<ThreadWait> waits;
  std::vector<OpenPipe> pipes;
  std::optional<Attributes> attributes = {}; // nothing: not asked, or an earlier report
  std::vector<Creator> created_by = {};      // see Genealogy::creators_of()
  /// The lines of its owner's program that started it, `FILE:LINE in FUNCTION`, the innermost first. Empty: a pool has
  /// not told them.
  std::vector<std::string> forked_at = {};
  std::vector<std::string> held = {};            // its sockets and eventfds, see identity_of(); not a part of reports
  std::vector<std::string> shared_memory = {};   // what locks may lie in, see Lock; not a part of reports
  std::optional<double> waits_per_second = {};   // of one with a timer, just now; not a part of reports
  bool memory_seen = true;                       // its memory map could be read; not a part of reports
  std::vector<Finding> diagnosis = {};           // the first one weighs most; empty: not asked
  bool is_root = true;                           // see order_by_roots()
  std::optional<std::string> suppressed_by = {}; // the reason of the rule that lets it remain
  std::optional<EndedBy> ended_by = {};          // nothing: by neither, as yet
};

/// What classification needs to know of the replay.
struct Surroundings {
  pid_t harness = 0; // the process that adopts orphans
  pid_t subject = 0;
  pid_t session = 0;                                // the subject's
  std::map<pid_t, std::string> helpers;             // pid and role
  std::optional<std::vector<pid_t>> cgroup_members; // nothing: there is no cgroup
  bool share_outputs = false;                       // the caller stands before them: its output is theirs as well
  const Boundary *boundary = nullptr;               // null: what is held outside is not known
};

/// Reads everything about `member`; nothing if it has gone meanwhile.
std::optional<RemainingProcess> examine(const Member &member, const Surroundings &surroundings);

/// Fills in waits_per_second, for which it takes a tenth of a second if there is one that may poll.
void measure_polling(std::vector<RemainingProcess> &processes);

/// The pid that the caller's outer PID namespace has for the process behind `pidfd`, through a /proc of that
/// namespace that is open as `outer_proc`; nothing if it does not say.
std::optional<pid_t> pid_seen_from(int outer_proc, int pidfd);

} // namespace pidleak::census

// Leak checks for processes, inside the process that starts them: what was not there before, and is there still?
//
//   pidleak::Guard guard;            // processes that exist now do not count
//   run_the_pool();
//   auto findings = guard.check();   // waits for those that are about to leave
//   if (!findings.clean())
//     std::cerr << findings.text;    // what remains, and why
//
// Needs Linux 5.4, and a /proc with /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN). For Catch2 and GoogleTest there
// are <pidleak/catch2.hpp> and <pidleak/gtest.hpp>. A whole command is guarded by `pidleak guard`, which sees more: it
// is a child of no test, and outlives a crash.
//
// What counts: every process below this one that has started since the guard was made: running, stopped, or ended and
// not waited for. Not a process below one that was there before. Work that was handed to a daemon outside (at,
// docker, systemd) is no descendant, and is not seen.
//
// Orphans: as long as there is a Guard the process is a subreaper (PR_SET_CHILD_SUBREAPER of prctl(2)), so that a
// daemon becomes its child instead of getting out of sight. Code that waits for any child, until there is none, meets
// these as well. One that has ended is init's business elsewhere and so no leak: check() reaps it where it is certain
// that no thread of this process started it, by its session, or since it was seen below another parent, or since
// fork(3) was called elsewhere (noted by pthread_atfork(3)). Where it is not certain it is among the tolerated, which
// say so: that may also be a child that this process has started by vfork, posix_spawn, popen or clone and not waited
// for, if its main thread has. Listeners print a warning then, and GuardOptions::strict counts it. No other child is
// ever reaped but by end_remaining(). Until then they stay in the process table.
//
// Threads: the kernel lists children by the thread that has forked them. A process that another guard's thread started
// belongs to that guard; one that this guard's thread started belongs to this guard. So do their descendants. The
// kernel does not say that of orphans, nor of the children of the main thread (to which it adds orphans), of threads
// that have ended and of threads without a guard. If others guarded other threads when such a process started, its
// diagnosis names them. As long as one of them has not been checked yet, the process is left to it, and is among the
// tolerated; the last one counts it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace pidleak {

struct GuardOptions {
  /// What others call it: the test's name.
  std::string name = {};
  /// How long processes may take to leave, when it can't be known that they never will. Too short calls a slow process
  /// leaked. It is known where the process has one thread and, for root, all that is left waits for one another.
  std::chrono::milliseconds grace{2000};
  /// A JSON file of rules for processes that may remain, as `pidleak guard --suppressions` reads it. Empty: none.
  std::string suppressions = {};
  /// Become a subreaper. Without it daemons get out of sight.
  bool adopt_orphans = true;
  /// Count what has ended and may have been started here as well as adopted: for tests whose programs start no daemons.
  bool strict = false;
};

/// Why it is still there.
struct Diagnosis {
  std::string cause; // of the closed list in reports/report.schema.json, such as `not-reaped`
  std::string text;  // the facts, in one sentence
};

/// A process that remains.
struct Remaining {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string kind;                      // live, zombie, stopped, orphan (adopted), escaped (left the session)
  std::string name;                      // any bytes, as those of the command line
  std::vector<std::string> command_line; // empty for a zombie
  std::vector<Diagnosis> diagnosis;      // the first one weighs most
  std::vector<std::string> may_be_of;    // names of other guards; empty: it is this guard's
  std::string tolerated_because;         // why it does not count; empty: it does
  bool may_be_adopted = false;           // it has ended, and may be a child that was not waited for, or an orphan
};

struct Findings {
  std::vector<Remaining> remaining; // what counts
  std::vector<Remaining> tolerated; // what a suppression lets remain, is left to another guard, or may be init's
  bool complete = true;             // false: processes come and go faster than they can be counted
  std::string text;                 // for people, all of it; ends with a line break
  std::string json;                 // the leak report, as `pidleak guard --report` writes it

  bool clean() const { return remaining.empty() && complete; }
  /// Whether something is tolerated only since it may be an orphan that was adopted: see GuardOptions::strict.
  bool doubtful() const {
    for (const auto &process : tolerated)
      if (process.may_be_adopted)
        return true;
    return false;
  }
};

/// The text.
std::ostream &operator<<(std::ostream &out, const Findings &findings);

/// Its thread is the one that makes it. Its methods may be called from any thread, one at a time. Everything throws
/// std::system_error if the kernel refuses what is needed. The destructor looks for nothing and ends nothing; with the
/// last guard the process stops being a subreaper, unless it was one before.
class Guard {
public:
  /// Throws std::invalid_argument if the suppressions can't be read as such.
  explicit Guard(GuardOptions options = {});
  Guard(Guard &&) noexcept;
  Guard &operator=(Guard &&) noexcept;
  ~Guard();

  /// False in a child that was forked since: the guard is its parent's there, and its destructor does nothing. The two
  /// methods below throw std::logic_error then.
  bool is_of_this_process() const noexcept;

  /// Waits until all have left, or it is known that none will, or the grace is over.
  Findings check();

  /// Sends SIGKILL, through pidfds, to all that counts now and whatever that starts meanwhile, and reaps it. Spares
  /// what may be of another guard that still exists. For `ask_first` they get SIGTERM instead. False if some of it is
  /// there five seconds after that.
  bool end_remaining(std::chrono::milliseconds ask_first = {});

private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace pidleak

// Runs a command as if there were nothing in between, and finds whatever it leaves behind.
//
//   shell ──▶ guard (subreaper) ──▶ command ──▶ whatever it starts
//               │ adopts and reaps all that loses its parent, while the command runs, and looks for what accumulates
//               └ when the command has ended: nothing left (ECHILD) ── the usual case, and nothing was read
//                                             something left ── settle, census, diagnosis, end, report
//
// Whatever fails on the way (no memory, no descriptors, a file of /proc that can't be read): what is left is ended, and
// that it was there is said.
//
// The command is in the guard's process group: what the terminal sends (Ctrl-C, Ctrl-Z, SIGWINCH, SIGHUP) reaches it
// without help. What is sent to the guard alone is passed on (relay.hpp). The guard stops when the command does.
//
// What can't be the same: the command's parent is the guard, and so is that of its daemons, which might expect 1; a
// SIGSTOP for the guard alone leaves the command running; a SIGKILL for the guard alone ends the command, and nothing
// ends what it has started.
#pragma once

#include "harness/guard/command.hpp"
#include "harness/os/ending.hpp"
#include "reports/report.hpp"

#include <functional>

namespace pidleak::guard {

/// How long processes may take to leave after the command, by default.
constexpr milliseconds default_grace{2000};

/// How long what remains has to leave after SIGTERM, by default.
constexpr milliseconds default_end_grace{500};

struct Options {
  std::vector<std::string> command; // looked up on PATH as execvp(3) does
  /// How long processes may take to leave after the command, when it can't be known that they never will. Too short
  /// calls a slow process leaked.
  milliseconds grace{default_grace};
  TimeLimit limit;
  /// Between SIGTERM and SIGKILL for what remains; 0: SIGKILL at once.
  milliseconds end_grace{default_end_grace};
  /// Reports every process that there was, as far as there is room for them.
  bool report_lives = false;
  /// Reports the orphans that came to guard and ended in time.
  bool warn_adopted = false;
  /// Leaves alone what remains. It goes to the process that adopts the guard's children.
  bool keep = false;
  /// How often the tree is looked at while the command runs, for what accumulates; nothing: never.
  std::optional<milliseconds> every = {};
  /// What the command is to have, where another process has stood in and blocked signals before.
  std::optional<Original> original = {};
  /// Set by in_pid_namespace().
  reports::Tier tier = reports::Tier::subreaper;
  int outer_proc = -1; // a /proc of the namespace around
};

struct Outcome {
  End command;
  std::optional<os::Ending> ending; // of what remained; nothing: there was none, or it was to be kept
  reports::Report report;           // clean or leaked; broken if the command could not be executed
};

/// What a guard asks and tells on its way.
struct Listener {
  /// Marks as suppressed what may remain: it is left alone.
  std::function<void(reports::Report &)> judge;
  /// While the command runs, when something is found to accumulate: with the report so far, and those of its growth's
  /// groups that are news. Needed with Options::every.
  std::function<void(reports::Report &, const std::vector<std::size_t> &news)> grows = {};
  /// What the user should know now, in words.
  std::function<void(const std::string &)> warn;
};

/// The caller must have no other thread, and no children (stand_in.hpp). Throws std::runtime_error before anything is
/// started if it could not see, or not end, what the command leaves.
Outcome run(const Options &options, const Listener &listener);

/// What another process, the parent of this one, was left with by a command: looks at that, and does nothing to it.
/// `reaped` says how many children that process has reaped since it was last asked; `readable_when_reaped` is readable
/// when there are such.
struct LeftToParent {
  std::function<std::size_t()> reaped;
  int readable_when_reaped = -1;
  census::Genealogy genealogy; // as that process was told
};
/// The report on that. Throws what a look throws.
reports::Report look_below_parent(const Options &options, const LeftToParent &left, const Listener &listener);

} // namespace pidleak::guard

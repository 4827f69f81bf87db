// Runs a command as if nobody were in between, and finds whatever it leaves behind.
//
//   shell ──▶ guard (subreaper) ──▶ command ──▶ whatever it starts
//               │ adopts and reaps all that loses its parent, while the command runs, and looks for what accumulates
//               └ when the command has ended: nothing left (ECHILD) ── the usual case, and nothing was read
//                                             something left ── settle, census, diagnosis, report, end
//
// The command is in the guard's process group: what the terminal sends (Ctrl-C, Ctrl-Z, SIGWINCH, SIGHUP) reaches it
// without help. What is sent to the guard alone is passed on (relay.hpp). The guard stops when the command does.
//
// What can't be the same: the command's parent is the guard, and so is that of its daemons, which might expect 1; a
// SIGSTOP for the guard alone leaves the command running; a SIGKILL for the guard alone ends the command, and nothing
// ends what it has started.
#pragma once

#include "harness/guard/command.hpp"
#include "reports/report.hpp"

#include <functional>

namespace pidleak::guard {

struct Options {
  std::vector<std::string> command; // looked up on PATH as execvp(3) does
  /// How long processes may take to leave after the command, when it can't be known that they never will. Too short
  /// calls a slow process leaked.
  milliseconds grace{2000};
  TimeLimit limit;
  /// Leaves alone what remains. It goes to whoever adopts the guard's children.
  bool keep = false;
  /// How often the tree is looked at while the command runs, for what accumulates; nothing: never.
  std::optional<milliseconds> every = {};
  /// This process has stood before the command already, and it has ended so: what remains is to be found.
  std::optional<End> ended = {};
  /// Set by in_pid_namespace().
  reports::Tier tier = reports::Tier::subreaper;
  int outer_proc = -1; // a /proc of the namespace around
};

struct Outcome {
  End command;
  bool ended_all = true;  // of what remained; where it was not to be kept
  reports::Report report; // clean or leaked; broken if the command could not be executed
};

/// Called once it is known what remains, before that is ended. What it marks as suppressed is left alone.
using Tell = std::function<void(reports::Report &)>;

/// Called while the command runs, when something is found to accumulate: with the report so far, and those of its
/// growth's groups that are news. Needed with Options::every.
using TellGrowth = std::function<void(reports::Report &, const std::vector<std::size_t> &news)>;

/// The caller must have no other thread, and not wait for children of its own meanwhile. Those that it has already are
/// left alone. Throws SyscallError.
Outcome run(const Options &options, const Tell &tell, const TellGrowth &tell_growth = {});

} // namespace pidleak::guard

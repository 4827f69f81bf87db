// A guarded command from its options to its exit status. Here is what the small program `pidleak` does by itself; what
// more may be asked for (renderings, rules for what may remain) is Further.
#pragma once

#include "harness/cli/command_line.hpp"
#include "harness/guard/guard.hpp"
#include "harness/guard/keeper.hpp"

#include <ctime>

namespace pidleak::cli {

/// As the user has asked for it.
struct GuardRun {
  guard::Options guard;
  double grace_s = 2, end_grace_s = 0.5, timeout_s = 0, kill_after_s = 5;
  int error_exitcode = guard::leak_status;
  std::string report_path;
  std::time_t started = std::time(nullptr);
  Clock::time_point since = Clock::now();
};

/// What happens to the report beside that. Here: nothing.
class Further {
public:
  Further() = default;
  Further(const Further &) = delete;
  Further &operator=(const Further &) = delete;
  virtual ~Further() = default;
  /// It is wanted in any case, and not only where there is something to tell.
  virtual bool wants_report() const { return false; }
  /// Marks what may remain.
  virtual void apply(reports::Report &) {}
  /// Throws what writing throws.
  virtual void write(const reports::Report &) const {}
  /// The status in place of this one.
  virtual int check(int status) const { return status; }
};

milliseconds from_seconds(double seconds);

/// An option of seconds. What it sets is its default.
Option seconds(const char *name, double &into, const char *summary, std::pair<double, double> range);

/// The options that set `run`, but for the command. `run` must live until it was run.
std::vector<Option> plain_guard_options(GuardRun &run);

/// Throws UsageError. Nothing is run as yet.
void prepare(GuardRun &run);

/// Fills in what every report says. Of a service its command as it is now.
void describe(reports::Report &report, GuardRun &run, const os::ProcessRef *service = nullptr);

guard::Listener listener_for(GuardRun &run, Further &further, const os::ProcessRef *service = nullptr);

/// Tells the outcome, writes what is to be written, and gives the status.
int conclude(const GuardRun &run, const Further &further, const guard::Outcome &outcome);

/// Runs the command. Its status, or that of what it has left.
int run_here(GuardRun &run, Further &further, const guard::Listener &listener);
/// The same, with a process that stands in for this one where that has children of its own.
int run_command(GuardRun &run, Further &further, const guard::Listener &listener);

} // namespace pidleak::cli

// The leak report: one replay, what was done, what was shown, what remains. Every rendering is made from this.
#pragma once

#include "harness/census/growth.hpp"
#include "harness/census/settle.hpp"

#include <nlohmann/json_fwd.hpp>

#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::reports {

constexpr int schema_version = 5; // earlier ones are read as well

BOOST_DEFINE_ENUM_CLASS(Verdict, clean, leaked,
                        hung,    // shutdown never returned
                        invalid, // the fault did not happen: says nothing about the pool, and never passes
                        skipped, // this machine or pool lacks what the scenario needs
                        broken)  // the harness, or the subject's side of the protocol, failed

/// How strong isolation and census were, weakest first.
BOOST_DEFINE_ENUM_CLASS(Tier,
                        attached,         // a service that ran before: what loses its parent may be missed
                        subreaper,        // census complete; what outlives harness and warden at once is not ended
                        namespace_,       // a PID namespace: the kernel ends everything with its init
                        namespace_cgroup) // that, and a cgroup that caps and cross-checks

using census::SettledBy;

/// A condition of the scenario, and what proves it.
struct Evidence {
  std::string condition;
  bool shown = false;
  std::string text;                         // one sentence, facts included
  std::map<std::string, std::string> facts; // the same, for machines
};

/// Something that happened, on the monotonic clock.
struct TimelineEvent {
  double at_ms = 0; // since the replay began
  std::string event;
  std::optional<pid_t> pid; // inside the sandbox
  std::string detail;
};

/// A rule that lets processes remain, and what it was good for.
struct Suppression {
  std::string rule;    // what it asks of a process: `comm=tracker*, kind=orphan`
  std::string reason;  // why that is all right
  std::string expires; // a date, after which it holds no more; empty: never
  bool expired = false;
  int used = 0; // processes that it let remain
};

/// A point of execution, DESIGN: `worker:shut-down:read#1:entry`.
struct RecordedPoint {
  std::string point;
  std::string about;   // what the call is about: `the call queue's pipe`, a path; empty: nothing of this kind
  std::string holding; // the lock that it has taken to be there; empty: none that is known
};

/// What one process of a recording did.
struct RecordedProcess {
  std::string actor;      // `worker#2`; empty: none of the pool's
  std::vector<int> birth; // below the subject: {2, 1} is the first child of its second; {}: the subject
  std::vector<RecordedPoint> points;
};

/// A fault at a point of execution.
struct PointFault {
  std::string point, fault; // `errno:EAGAIN`
  std::vector<int> birth;   // of its process
  bool reached = false;     // and the fault was done there
  std::string call;         // what it was in: `read of the call queue's pipe`
};

/// Orphans alike that guard has adopted, and that ended in time.
struct AdoptedGroup {
  std::string name;                    // of their program; empty: not known
  std::vector<std::string> created_by; // what their parent ran; empty: not known
  bool never_waited_for = false;       // they had ended before their parent
  std::size_t count = 0;
};

/// How much is known of who started whom.
struct GenealogyTold {
  census::GenealogyState state = census::GenealogyState::none;
  std::string lacks;                         // why it is not complete; empty: it is
  std::vector<std::string> handed_over = {}; // programs that hand work to a daemon, Genealogy::handed_over()
  std::vector<AdoptedGroup> adopted = {};    // empty: none, or it was not asked
};

/// Every process of a command, the dead included.
struct Lives {
  std::vector<census::Genealogy::Life> processes; // in the order of birth
  std::size_t left_out = 0;                       // others, of which nothing was kept
};

struct Report {
  int schema = schema_version;
  std::string tool_version;
  std::string kernel;  // uname release and version
  unsigned user = 0;   // effective uid of the harness
  std::string started; // wall clock, RFC 3339, UTC
  std::string scenario;
  std::string pool;                              // as selected: a preset
  std::string pool_version;                      // as the subject says
  std::map<std::string, std::string> conditions; // by name, as spelled
  int workers = 0;
  std::string machine, distribution; // as the head of a shard's document has them; empty: not known

  Verdict verdict = Verdict::broken;
  std::string reason;
  // Remaining while the subject lives. Helpers count in neither other, suppressed processes in none.
  int live = 0, zombies = 0, helpers = 0;

  Tier tier = Tier::subreaper;
  std::vector<std::string> tier_notes; // why it is not a stronger one
  std::vector<Evidence> evidence;
  std::optional<PointFault> point_fault;    // nothing: the scenario's own, or none
  std::vector<RecordedProcess> recording;   // empty: it was not recorded
  std::map<std::string, int> task_outcomes; // done, failed, unresolved, twice; empty: the subject does not say
  std::vector<TimelineEvent> timeline;
  bool census_complete = false;
  std::optional<bool> cgroup_agrees;      // nothing: no cgroup to compare with
  std::optional<bool> nothing_left_below; // waitid said ECHILD after the subject had gone; nothing: not asked
  std::optional<GenealogyTold> genealogy; // nothing: it was not asked
  std::optional<Lives> lives;             // nothing: it was not asked
  std::vector<census::RemainingProcess> remaining;
  /// Guard's: who was there when the command's time was over, before a signal was sent; the command first. Empty: it
  /// has ended in time.
  std::vector<census::RemainingProcess> at_timeout;
  std::optional<census::RemainingProcess> owner; // of the pool, as it was then; nothing: it had ended, or no census
  std::vector<Suppression> suppressions;         // in the order of their file
  std::optional<census::Growth> growth;          // while it ran; nothing: it was not watched

  std::optional<SettledBy> settled_by;
  std::string not_quiescent_because; // settled by deadline: what kept the wait from being called endless
  double settle_ms = 0;              // from the release of the tasks to the verdict
  std::optional<double> shutdown_ms; // from call to return; nothing: never called, or never returned
  double total_ms = 0;
  std::string subject_stderr; // its last few KiB
};

/// What accumulated; none if guard did not watch.
const std::vector<census::GrowingGroup> &growing_groups(const Report &report);

/// Orphans that have ended are told.
bool has_adopted(const Report &report);

/// Which of the report's counts the process is in: helpers, zombies or live.
int &count_of(const census::RemainingProcess &process, Report &report);
/// Counts who remains, without the suppressed.
void count_remaining(Report &report);
/// `a process`, `3 processes`.
std::string count_of_processes(std::size_t count);

/// The exit status that this verdict gives a command (DESIGN.md): 0, 1, 3, 4 or 5.
int exit_status(Verdict verdict);
/// The status of several: broken before invalid before leak, then skipped only where nothing ran (so also of none).
int exit_status(const std::vector<Verdict> &verdicts);

/// Fills in what every report says of the program, the machine and the moment.
void sign(Report &report, std::time_t started);

nlohmann::ordered_json to_json(const Report &report);
/// Reads every version up to schema_version. Throws std::invalid_argument naming the member that is missing or wrong.
Report from_json(const nlohmann::ordered_json &json);

/// Any bytes as text that JSON can hold: what is not UTF-8 becomes \xNN.
std::string as_utf8(const std::string &bytes);

/// Whether lines stay lines (and tabs tabs), or their ends are escaped as any other control character.
enum class LineBreaks { escaped, kept };

/// as_utf8, with everything escaped that a terminal would obey instead of showing it.
std::string printable(const std::string &bytes, LineBreaks breaks = LineBreaks::escaped);

} // namespace pidleak::reports

// What is replayed, as data.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/protocol/vocabulary.hpp"
#include "harness/replay/server/description.hpp"
#include "harness/tracing/tracer.hpp"
#include "reports/report.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// One step of a replay. The driver takes each only after the one before is known to have happened.
BOOST_DEFINE_ENUM_CLASS(Step, create_pool,
                        occupy_workers,   // every worker has said that it is in its task
                        do_tasks,         // more than the queue has slots; workers are let go on one after the other
                        fill_queue,       // where the condition says so: every slot of the call queue is taken
                        inject_fault,     // it has happened, and the pool has reacted
                        shut_down,        // shutdown was called; it returned, or waits
                        release_tasks,    // tasks may end
                        settle,           // every process that leaves has left
                        ask_to_stop,      // the owner has got what asks it to stop gracefully
                        kill_after_grace, // it has ended by then, or got SIGKILL, alone
                        start_again)      // of servers: the same command came up, or did not

/// What must be shown to have happened, or the verdict is `invalid`.
BOOST_DEFINE_ENUM_CLASS(MustShow, death, sigterm, queue, race, fault)

/// What one preset must do under a scenario.
struct Expectation {
  std::string preset;
  StartMethod start_method;
  reports::Verdict verdict;
  int live = 0, zombies = 0;
};

/// Whom a scenario can meet.
BOOST_DEFINE_ENUM_CLASS(SubjectKind, pool, server)

struct Scenario {
  std::string name;
  std::string summary; // one line
  Conditions conditions;
  std::vector<SubjectKind> subjects = {SubjectKind::pool};
  std::string why_no_pools = {}; // why it is for servers alone, and what there is for pools instead
  std::vector<Tasks> tasks = {}; // replayed on servers unless the user names one: idle, busy, stuck; empty: as above
  bool as_pid_1 = false;         // the server is the init of its PID namespace
  std::vector<StartMethod> start_methods = {StartMethod::fork}; // replayed unless the user names others
  std::vector<Step> steps = {Step::create_pool, Step::occupy_workers, Step::fill_queue, Step::inject_fault,
                             Step::shut_down,   Step::release_tasks,  Step::settle};
  std::vector<MustShow> must_show = {MustShow::death, MustShow::sigterm, MustShow::queue, MustShow::race,
                                     MustShow::fault};
  std::vector<Expectation> expectations = {};

  bool is_for(SubjectKind kind) const { return std::find(subjects.begin(), subjects.end(), kind) != subjects.end(); }
};

/// The pool under test: how its subject is started.
struct PoolChoice {
  std::string name;    // as the user wrote it, for the report
  std::string program; // path; pidleak-subject for presets
  std::vector<std::string> arguments = {};
  std::string preset;                           // for pidleak-subject
  std::string lacks = {};                       // what this machine lacks for it: the replay is skipped
  bool shares_nothing = true;                   // its replays share no port and no file with one another
  std::optional<ServerDescription> server = {}; // it is no pool with a subject, but a server
};

BOOST_DEFINE_ENUM_CLASS(OomMode, real,
                        sigkill) // a plain SIGKILL stands in for the OOM kill; every report says so

/// A fault at a point of execution. The point names the process by its role, which is known only in the end; its birth,
/// which a recording has, finds it in the middle of a replay.
struct PointFault {
  tracing::Point point;
  tracing::Birth birth;
  tracing::Fault fault;
};

/// The steps of a command in place of a pool.
BOOST_DEFINE_ENUM_CLASS(CommandStep, run, // until it is ready, or to its end
                        stop)             // it was asked to stop

/// A command in place of a pool. Without any of `until` it runs to its end.
struct CommandPlan {
  std::vector<std::string> command; // looked up on PATH
  int until_port = 0;               // ready: a socket listens there; 0: not asked for
  std::string until_file;           // ready: it is there
  std::string until_line;           // ready: a line of its output matches, regex(7)
  int stop_signal = 15;             // what it gets then

  bool is_awaited() const { return until_port != 0 || !until_file.empty() || !until_line.empty(); }
};

/// One replay, complete.
struct Plan {
  Scenario scenario; // with the conditions of this replay
  PoolChoice pool;
  OomMode oom = OomMode::real;
  /// How long a step may take before the subject is called broken. Longer on a machine without an idle CPU, see
  /// os::Patience.
  milliseconds step_bound{10000};
  /// How long a shutdown that makes no progress is watched before the tasks are released.
  milliseconds shutdown_patience{1000};
  /// How long processes may take to leave when it can't be known that they never will. Too short calls a slow
  /// process leaked. Longer as well while one of them runs.
  milliseconds settle_bound{10000};
  /// How long a server, or a pool's owner, may take to stop: a Pod's grace. Not over by then is hung.
  milliseconds grace{30000};
  /// Processes in the sandbox at once, where a cgroup or a user namespace can cap them.
  int process_cap = 1024;
  /// Whether the calls of those that remain are told: some tens of milliseconds each.
  bool take_stacks = false;
  /// In place of the scenario's own death.
  std::optional<PointFault> point_fault = {};
  /// Lists the points of execution of every process. Without a fault.
  bool record = false;
  std::optional<tracing::Birth> record_only = {}; // of this process alone; nothing: of all

  /// In place of scenario and pool.
  std::optional<CommandPlan> command = {};

  /// Its subject may start, and its sandbox end, while another is replayed.
  bool may_overlap() const { return !command && !pool.server && pool.shares_nothing; }
  bool is_traced() const { return record || point_fault; }
};

/// Nothing may stand in for the kernel's own kill.
inline bool needs_real_oom(const Plan &plan) {
  bool is_wanted = plan.point_fault ? plan.point_fault->fault.kind == tracing::FaultKind::oom
                                    : plan.scenario.conditions.death == Death::oom;
  return is_wanted && plan.oom == OomMode::real;
}

} // namespace pidleak::replay

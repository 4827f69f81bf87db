// The conditions of a scenario, in the words that the command line, the protocol and the reports share.
#pragma once

#include "harness/base/spelling.hpp"
#include "harness/base/start_method.hpp"

namespace pidleak {

/// How one process ends while the workers are in their tasks.
BOOST_DEFINE_ENUM_CLASS(Death, none, oom, sigkill)
/// Which one: a worker, or the process that owns the pool.
BOOST_DEFINE_ENUM_CLASS(Victim, worker, owner)
/// What SIGTERM does in the subject when the pool is made. `handler` returns at once; `exits` is one that ends the
/// program in the way of its language, such as by raising SystemExit, and for real pools only.
BOOST_DEFINE_ENUM_CLASS(Sigterm, default_, handler, exits, ignored, blocked)
/// When the handler is registered: by the main program, or by the main module, which spawn and forkserver import
/// again in every worker.
BOOST_DEFINE_ENUM_CLASS(HandlerRegistered, run_time, import)
/// What waits in the call queue when the pool breaks.
BOOST_DEFINE_ENUM_CLASS(CallQueueState, empty, full)
/// Whether tasks end: once the driver lets them, never, or before the death already: then the pool is idle.
BOOST_DEFINE_ENUM_CLASS(Tasks, finish, never_end, ended)
/// Whether the user's own cure is in place: an initializer that resets signals in each worker.
BOOST_DEFINE_ENUM_CLASS(SignalReset, none, initializer)
/// Another cure: what a broken pool does to its workers, as the pool has it, or SIGKILL.
BOOST_DEFINE_ENUM_CLASS(Terminate, as_is, sigkill)
/// Another: the slots of the call queue, as many as the pool has, or more than there are tasks.
BOOST_DEFINE_ENUM_CLASS(QueueSlots, as_is, plenty)
/// Where the worker is when it ends.
BOOST_DEFINE_ENUM_CLASS(DeathPoint, in_task, holding_queue_lock, half_result)
/// A terminated worker dies while the pool counts those that live: which comes first. `exit_first` needs a pool
/// that can be held before it counts, and is left to chance in others; for `count_first` the workers are stopped.
BOOST_DEFINE_ENUM_CLASS(Race, exit_first, count_first)

/// Everything that may differ between two replays of one pool.
struct Conditions {
  Death death = Death::none;
  Victim victim = Victim::worker;
  Sigterm sigterm = Sigterm::default_;
  HandlerRegistered handler_registered = HandlerRegistered::run_time;
  SignalReset signal_reset = SignalReset::none;
  Terminate terminate = Terminate::as_is;
  QueueSlots queue_slots = QueueSlots::as_is;
  CallQueueState queue = CallQueueState::empty;
  StartMethod start_method = StartMethod::fork;
  Tasks tasks = Tasks::finish;
  DeathPoint death_point = DeathPoint::in_task;
  Race race = Race::exit_first;
  int workers = 4;

  bool operator==(const Conditions &) const = default;
};

/// Calls `visit(name, member)` for every condition that is one of a few words, in the order of reports.
template <class C, class Visitor>
void for_each_condition(C &conditions, Visitor &&visit) {
  visit("death", conditions.death);
  visit("victim", conditions.victim);
  visit("sigterm", conditions.sigterm);
  visit("handler-registered", conditions.handler_registered);
  visit("signal-reset", conditions.signal_reset);
  visit("terminate", conditions.terminate);
  visit("queue-slots", conditions.queue_slots);
  visit("queue", conditions.queue);
  visit("start-method", conditions.start_method);
  visit("tasks", conditions.tasks);
  visit("death-point", conditions.death_point);
  visit("race", conditions.race);
}

/// The others are of pools: nothing of a server shows them, and reports of servers have none of them.
inline bool is_met_by_servers(std::string_view condition) {
  return condition == "death" || condition == "victim" || condition == "sigterm" || condition == "tasks";
}

} // namespace pidleak

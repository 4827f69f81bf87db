// The conversation with a subject and its workers: commands and orders out, events in, and every wait for what they
// say, each with its bound.
#pragma once

#include "harness/census/tree.hpp"
#include "harness/replay/channel.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/scenario.hpp"
#include "harness/replay/subject.hpp"
#include "harness/replay/turn.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// The subject did not do what it was told to, and nothing moves any more, or it has gone.
struct Stalled {
  std::string what; // `create the pool`
};

/// Every method that hears takes in what it hears, see heard(), and throws SubjectFailure, SubjectError, ProtocolError
/// and LifelineCut.
class Conversation {
public:
  using Done = std::function<bool()>;

  /// Starts the subject. `lifeline`: see Inside. The channel and the timeline must outlive this.
  Conversation(const Plan &plan, int lifeline, Channel &channel, Timeline &timeline);

  const os::ProcessRef &subject() const { return subject_.process(); }
  const std::string &error_output() const { return subject_.error_output(); }
  std::size_t errors_written() const { return subject_.errors_written(); }
  const Heard &heard() const { return heard_; }
  Channel &channel() { return channel_; }
  void note(const std::string &event, std::optional<pid_t> pid = {}, const std::string &detail = "") {
    timeline_.note(event, pid, detail);
  }

  void send(const protocol::Message &command) { subject_.send(command); }
  /// The subject's end is no failure from now on.
  void expect_exit() { subject_.expect_exit(); }

  /// See turn.hpp.
  void wait_for_turn(const Inside &inside) { timeline_.leave_out(replay::wait_for_turn(inside)); }
  /// Waits for the subject's first message, which must be a hello of this version.
  protocol::Message greet();
  /// Submits tasks, and waits until the subject has accepted them.
  void submit(int first, int count);
  /// How many slots of the call queue are taken.
  int ask_queue_depth();
  /// Tells the subject to exit, and waits for that.
  void end_subject();

  /// Takes in one event; false if none comes within the time, or one of `exits` (pidfds) becomes readable.
  bool hear(std::chrono::microseconds at_most, const std::vector<int> &exits = {});
  /// From now on every wait ends as well when nothing moves any more, or the subject has gone: after a fault it may
  /// never answer. hear_until() then throws Stalled. `tree` must outlive this.
  void end_waits_at_rest(const census::Tree &tree);
  bool ends_waits_at_rest() const { return resting_ != nullptr; }
  /// Why the subject can't go on, as it says; while waits end at rest that is no exception. Empty: it can.
  const std::string &error() const { return error_; }

  /// Hears events until `done`. False if that has not come within the step's bound.
  bool hear_within_bound(const Done &done);
  /// The same, and throws SubjectFailure (or Stalled): "the subject did not `what` within N ms".
  void hear_until(const Done &done, const std::string &what);
  /// Hears events until `done`, or nothing in the tree moves any more but a loop that turns, or the time is over.
  void hear_until_rest(const census::Tree &tree, milliseconds bound, const Done &done);
  /// Hears events until nothing moves, as far as a cheap look tells, or the time is over: what comes next is a step of
  /// its own. Not for verdicts.
  void hear_until_still(const census::Tree &tree, milliseconds bound);
  /// Hears events until the process has exited. False if it has not within the step's bound.
  bool hear_until_exit(const os::ProcessRef &process);

private:
  void hear_while_moving(milliseconds bound, const Done &done, const std::function<bool()> &nothing_moves);
  bool may_still_answer() const { return !resting_ || (error_.empty() && !subject().has_exited()); }

  const census::Tree *resting_ = nullptr;
  std::string error_;
  milliseconds step_bound_;
  Channel &channel_;
  Timeline &timeline_;
  Subject subject_;
  Heard heard_;
};

} // namespace pidleak::replay

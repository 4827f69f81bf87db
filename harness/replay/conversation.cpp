#include "harness/replay/conversation.hpp"

#include "harness/os/patience.hpp"
#include "harness/os/procfs.hpp"

#include <fmt/format.h>

namespace pidleak::replay {

using protocol::Message;

Conversation::Conversation(const Plan &plan, int lifeline, Channel &channel, Timeline &timeline)
    : step_bound_(plan.step_bound), channel_(channel), timeline_(timeline),
      subject_(plan.pool.program, plan.pool.arguments, channel, lifeline) {}

Message Conversation::greet() {
  std::optional<Message> hello;
  auto deadline = os::Patience::of(step_bound_);
  while (!hello && !deadline.passed())
    hello = subject_.next(milliseconds(deadline.left_ms()));
  if (!hello)
    throw SubjectFailure(fmt::format("the subject did not say hello within {} ms", step_bound_.count()));
  if (hello->name() != "hello")
    throw SubjectFailure("the subject's first message is not hello but " + Message::printable(hello->name()));
  heard_.absorb(*hello, timeline_);
  if (hello->integer("protocol") != protocol::version)
    throw SubjectFailure(fmt::format("the subject speaks version {} of the protocol, this program version {}",
                                     hello->integer("protocol"), protocol::version));
  return *hello;
}

void Conversation::submit(int first, int count) {
  heard_.submitted = false;
  send(Message::command("submit", {{"first_task", first}, {"count", count}}));
  hear_until([&] { return heard_.submitted; }, "accept the tasks");
}

int Conversation::ask_queue_depth() {
  heard_.queue_depth.reset();
  send(Message::command("queue_depth"));
  hear_until([&] { return heard_.queue_depth.has_value(); }, "say how full its call queue is");
  return *heard_.queue_depth;
}

void Conversation::end_subject() {
  expect_exit();
  send(Message::command("exit"));
  if (!hear_until_exit(subject()))
    throw SubjectFailure("the subject did not exit when it was told to");
  note("exited", subject().pid(), "the subject");
}

bool Conversation::hear(std::chrono::microseconds at_most, const std::vector<int> &exits) {
  auto event = subject_.next(at_most, exits);
  if (!event)
    return false;
  try {
    heard_.absorb(*event, timeline_);
  } catch (const SubjectError &e) {
    if (!resting_)
      throw;
    error_ = e.what();
    note("error", {}, error_);
  }
  return true;
}

void Conversation::end_waits_at_rest(const census::Tree &tree) {
  resting_ = &tree;
  expect_exit();
}

bool Conversation::hear_within_bound(const Done &done) {
  if (resting_) { // not at a loop either: on a slow machine, an answer may take long to compute
    hear_while_moving(step_bound_, done, [&] { return resting_->at_rest(); });
    return done();
  }
  auto deadline = os::Patience::of(step_bound_);
  while (!done() && !deadline.passed())
    hear(milliseconds(deadline.left_ms()));
  return done();
}

void Conversation::hear_until(const Done &done, const std::string &what) {
  try {
    if (!hear_within_bound(done) && resting_)
      throw Stalled{what};
    if (!done())
      throw SubjectFailure(fmt::format("the subject did not {} within {} ms{}", what, step_bound_.count(),
                                       os::is_stopped(subject().pid()) ? ": it is stopped" : ""));
  } catch (const SubjectFailure &e) {
    if (!subject().has_exited())
      throw;
    throw SubjectFailure(fmt::format("{}, and was to {}", e.what(), what));
  }
}

void Conversation::hear_until_rest(const census::Tree &tree, milliseconds bound, const Done &done) {
  census::Spinning spinning;
  hear_while_moving(bound, done, [&] { return tree.at_rest_or_spins(spinning); });
}

void Conversation::hear_until_still(const census::Tree &tree, milliseconds bound) {
  census::Spinning spinning;
  hear_while_moving(
      bound, [] { return false; }, [&] { return tree.stands_still_or_spins(spinning); });
}

void Conversation::hear_while_moving(milliseconds bound, const Done &done, const std::function<bool()> &nothing_moves) {
  auto deadline = Deadline::after(bound);
  Backoff backoff(std::chrono::microseconds(100), std::chrono::milliseconds(3)); // a look at what moves costs little
  std::vector<int> exits;
  if (resting_)
    exits.push_back(subject().pidfd());
  while (!done() && !deadline.passed() && may_still_answer())
    if (!hear(backoff.next(), exits) && nothing_moves() && !hear(std::chrono::microseconds(0)))
      return;
}

bool Conversation::hear_until_exit(const os::ProcessRef &process) {
  auto deadline = os::Patience::of(step_bound_);
  while (!process.has_exited() && !deadline.passed())
    hear(milliseconds(deadline.left_ms()), {process.pidfd()});
  return process.has_exited();
}

} // namespace pidleak::replay

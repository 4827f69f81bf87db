#include "harness/replay/stop.hpp"

#include "harness/os/procfs.hpp"

#include <fmt/format.h>

#include <csignal>

namespace pidleak::replay {
namespace {

void show(reports::Report &report, const std::string &owner, const std::string &text) {
  report.evidence.push_back({.condition = "stop", .shown = true, .text = text, .facts = {{"owner", owner}}});
}

std::optional<os::SignalAction> action_of_sigterm_in(const os::ProcessRef &process) {
  auto status = os::read_status(process.pid());
  return status ? std::optional(os::action_of(*status, SIGTERM)) : std::nullopt;
}

} // namespace

Stopping ask_owner_to_stop(const Plan &plan, Conversation &conversation, const census::Tree &tree,
                           reports::Report &report) {
  const auto &owner = conversation.subject();
  auto action = action_of_sigterm_in(owner);
  conversation.expect_exit();
  conversation.note("signal-sent", owner.pid(), "SIGTERM");
  owner.send(SIGTERM);
  if (action == os::SignalAction::default_)
    conversation.hear_until_exit(owner);
  else // some pools are never at rest
    conversation.hear_until_rest(tree, plan.shutdown_patience, [&] { return owner.has_exited(); });
  if (owner.has_exited()) {
    conversation.note("exited", owner.pid(), "the pool's owner");
    show(report, "ended", "SIGTERM ended the pool's owner, and nothing shut the pool down");
    return Stopping::ended;
  }
  if (plan.scenario.conditions.sigterm == Sigterm::exits) {
    show(report, "exits", "the SIGTERM handler ends the pool's owner, once it gets so far");
    return Stopping::exits;
  }
  const auto &heard = conversation.heard();
  conversation.send(protocol::Message::command("shutdown"));
  conversation.hear_until([&] { return heard.shutdown_called.has_value(); }, "call shutdown");
  show(report, "shuts-down",
       fmt::format("SIGTERM ({}) did not end the pool's owner; it was told to shut the pool down",
                   action ? spell(*action) : "unknown"));
  return Stopping::shuts_down;
}

void kill_owner(const Plan &plan, Conversation &conversation, reports::Report &report) {
  const auto &owner = conversation.subject();
  conversation.expect_exit();
  conversation.note("fault", owner.pid(), "SIGKILL, the grace is over");
  owner.send(SIGKILL);
  if (!conversation.hear_until_exit(owner))
    throw SubjectFailure("the pool's owner survived SIGKILL");
  report.evidence.push_back(
      {.condition = "grace",
       .shown = true,
       .text = fmt::format("the pool's owner does not end within the grace of {:g} s after SIGTERM, and got SIGKILL",
                           static_cast<double>(plan.grace.count()) / 1000),
       .facts = {}});
}

} // namespace pidleak::replay

// Signals between the outside and the command, and the exits of children: one descriptor for all.
//
//   sent to ...                       the command gets it
//   the guard alone                   from the guard
//   the terminal's foreground group   from the kernel, and so not from the guard: INT, QUIT, TSTP, WINCH, HUP
//   a session leader that hangs up    from the guard, which stands in its place
//   whoever shares its group, by one of the command's own processes (`kill 0`): it had it already
//
// A whole process group signalled by somebody else (kill -TERM -GROUP) reaches the command twice: nothing tells that
// from a signal to the guard.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/guard/start.hpp"
#include "harness/os/unique_fd.hpp"

#include <sys/signalfd.h>

#include <optional>

namespace pidleak::guard {

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT, but for what this process ignores.
bool is_request_to_end(int signal);

/// Blocks what can be passed on, and restores it when it goes. Stop signals too: the guard stops if the command does.
class Relay {
public:
  Relay();
  Relay(const Relay &) = delete;
  Relay &operator=(const Relay &) = delete;
  ~Relay();

  /// What the command is to have.
  const Original &original() const { return original_; }

  enum class Event { child, passed_on, nothing };
  /// Waits for a signal until the deadline: passes it on to the command (null: it has ended), if somebody has sent it
  /// to this process, or tells that a child has changed. `nothing`: the time is over.
  Event wait(const os::ProcessRef *command, std::optional<Deadline> deadline);

  /// Readable when there is a signal to wait for.
  int fd() const { return signals_.get(); }
  /// A request to end has come since it was last asked to
  /// forget them.
  bool asked_to_end() const { return asked_to_end_; }
  void forget_requests() { asked_to_end_ = false; }

private:
  void pass_on(const signalfd_siginfo &info, const os::ProcessRef *command);
  Original original_;
  os::UniqueFd signals_;
  bool asked_to_end_ = false;
};

} // namespace pidleak::guard

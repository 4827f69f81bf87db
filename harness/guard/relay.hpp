// Signals between the outside and the command, and the exits of children: one descriptor for all.
//
//   sent to ...                       the command gets it
//   the guard alone                   from the guard, with the value of sigqueue(3)
//   the terminal's foreground group   from the kernel, and so not from the guard: INT, QUIT, TSTP, WINCH, HUP
//   a session leader that hangs up    from the guard, which stands in its place
//   the whole group, by one of the command's own processes (`kill 0`): it had it already
//
// A whole process group signalled from outside (kill -TERM -GROUP) reaches the command twice: nothing tells that from a
// signal to the guard.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/guard/start.hpp"
#include "harness/os/unique_fd.hpp"

#include <sys/signalfd.h>

#include <optional>

namespace pidleak::guard {

/// Blocks what can be passed on, and restores it when it goes. Stop signals too: the guard stops if the command does.
/// And what a fault of this process would raise: that the kernel does not hold back, and what others send is the
/// command's.
class Relay {
public:
  /// `original`: what the command is to have, where another relay has blocked before. Throws SyscallError.
  explicit Relay(const std::optional<Original> &original = {});
  Relay(const Relay &) = delete;
  Relay &operator=(const Relay &) = delete;
  ~Relay();

  /// What the command is to have.
  const Original &original() const { return original_; }

  enum class Event { child, stop, passed_on, readable, nothing };
  /// Waits for a signal until the deadline: passes it on to the command (null: it has ended), if it was sent to this
  /// process, or tells that a child has changed. `stop`: it was one of those that stop, and was passed on likewise.
  /// `readable`: there is no signal, and `other`, if it is not -1, can be read or is closed at its other end.
  /// `nothing`: the time is over, or `waker` is readable. Throws SyscallError.
  Event wait(const os::ProcessRef *command, std::optional<Deadline> deadline, int other = -1, int waker = -1);

  /// Readable when there is a signal to wait for.
  int fd() const { return signals_.get(); }
  /// A request to end has come since forget_signals().
  bool asked_to_end() const { return asked_to_end_; }
  /// All that have come so far, and are read or not: they were for the command.
  void forget_signals();

private:
  void pass_on(const signalfd_siginfo &info, const os::ProcessRef *command);
  Original original_;
  os::UniqueFd signals_;
  bool asked_to_end_ = false;
};

} // namespace pidleak::guard

// Signals between the outside and the command, and the exits of children: one descriptor for all.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/unique_fd.hpp"

#include <csignal>
#include <optional>

namespace pidleak::guard {

/// Blocks what can be passed on, and restores the mask when it goes. Stop signals of the terminal are left to act:
/// the kernel stops guard and command as one job.
class Relay {
public:
  Relay();
  Relay(const Relay &) = delete;
  Relay &operator=(const Relay &) = delete;
  ~Relay();

  /// The mask that the command is to have.
  const sigset_t &original_mask() const { return original_; }

  enum class Event { child, passed_on, nothing };
  /// Waits for a signal until the deadline: passes it on to the command, if somebody has sent it to this process, or
  /// tells that a child has changed. `nothing`: the time is over.
  Event wait(const os::ProcessRef &command, std::optional<Deadline> deadline);

  /// Readable when there is a signal to wait for.
  int fd() const { return signals_.get(); }
  /// A request to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT) has come since the start.
  bool asked_to_end() const { return asked_to_end_; }

private:
  void pass_on(int signal, int code, const os::ProcessRef &command);
  sigset_t original_{};
  os::UniqueFd signals_;
  bool asked_to_end_ = false;
};

} // namespace pidleak::guard

// Requests to end this process (Ctrl-C, kill, a terminal that hangs up), as something to wait for.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <csignal>
#include <optional>

namespace pidleak::os {

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT, but for what this process ignores: nohup's SIGHUP asks for nothing.
bool is_request_to_end(int signal);

/// While it lives, such a signal does not end this process, but makes fd() readable. Those that came and were
/// told are forgotten with it; the next one ends the process again. SIGINT counts though it was ignored: shells without
/// job control do that to what they start with `&`. Children must unblock the signals (reset_all_signals()).
class EndRequests {
public:
  /// Throws SyscallError.
  EndRequests();
  EndRequests(const EndRequests &) = delete;
  EndRequests &operator=(const EndRequests &) = delete;
  ~EndRequests();

  int fd() const { return signals_.get(); }
  /// Whether one has come, which is not taken.
  bool any() const;
  /// Takes the signal that came first; nothing: none has come.
  std::optional<int> take();

private:
  sigset_t original_{};
  UniqueFd signals_;
  mutable bool was_told_ = false; // that there is one
};

} // namespace pidleak::os

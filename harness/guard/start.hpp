// Starting the command exactly as it would have started without a guard.
#pragma once

#include "harness/os/process_ref.hpp"

#include <csignal>
#include <string>
#include <variant>
#include <vector>

namespace pidleak::guard {

/// What this process has changed for itself, and the command is to have as it was.
struct Original {
  sigset_t mask{};
  struct sigaction on_child {}; // SIGCHLD: ignored, it lets no status through
};

/// The command, or the errno of its exec. Found as execvp(3) does, a script without an interpreter's line included.
/// It gets SIGKILL if this process is killed: no process would be there to pass anything on. Its pidfd comes with it
/// (CLONE_PIDFD, Linux 5.2): there is none that runs and is not held. Throws SyscallError if nothing was started.
std::variant<os::ProcessRef, int> start(const std::vector<std::string> &command, const Original &original);

} // namespace pidleak::guard

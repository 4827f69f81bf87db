// Runs any command in a sandbox, and tells what it leaves behind.
#pragma once

#include "harness/replay/sandbox.hpp"

#include <string>
#include <vector>

namespace pidleak::replay {

struct Command {
  std::string program; // path
  std::vector<std::string> arguments;
  /// How long it may run. When that is over, or nothing of it will ever move again, it is called hung.
  milliseconds run_bound{60000};
  /// How long processes may take to leave after it has ended, when it can't be known that they never will.
  milliseconds settle_bound{10000};
  int process_cap = 1024;
};

/// Its report: clean, leaked (something outlived it), hung (it never ended), broken (it can't be executed). Its
/// standard streams are /dev/null. Throws LifelineCut; must be called by a sandbox's init.
reports::Report watch(const Command &command, const Inside &inside);

/// The same in a sandbox with what this machine has. The caller must have no other thread. Throws SyscallError where
/// no sandbox can be started.
reports::Report watch(const Command &command);

} // namespace pidleak::replay

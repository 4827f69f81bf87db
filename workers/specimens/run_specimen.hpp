// For the specimens' tests: runs a program in a sandbox, and reports what it leaves behind.
#pragma once

#include "reports/report.hpp"

#include <string>
#include <vector>

namespace pidleak::specimens {

struct Invocation {
  std::string program; // path
  std::vector<std::string> arguments;
  /// How long it may run. When that is over, or nothing of it will ever move again, it is called hung.
  milliseconds run_bound{60000};
  /// How long processes may take to leave after it has ended, when it can't be known that they never will.
  milliseconds settle_bound{10000};
};

/// The report: clean, leaked (something outlived it), hung (it never ended), broken (it can't be executed). Its
/// standard streams are /dev/null. The caller must have no other thread. Throws SyscallError where no sandbox can be
/// started.
reports::Report run_specimen(const Invocation &invocation);

} // namespace pidleak::specimens

// The process that a user names by its pid.
#pragma once

#include "harness/os/process_ref.hpp"

#include <string>

namespace pidleak::cli {

/// One that runs, and is neither a thread nor the kernel's. `asked`: how the user has named it, `why 12`. Throws
/// UsageError.
os::ProcessRef find_process(pid_t pid, const std::string &asked);

/// To be watched: no ancestor of the calling process, nor that itself. Throws UsageError.
os::ProcessRef find_service(pid_t pid);

} // namespace pidleak::cli

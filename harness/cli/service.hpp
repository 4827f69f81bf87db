// The service that a user names by its pid.
#pragma once

#include "harness/os/process_ref.hpp"

namespace pidleak::cli {

/// To be watched: no ancestor of the calling process, nor that itself. Throws UsageError.
os::ProcessRef find_service(pid_t pid);

} // namespace pidleak::cli

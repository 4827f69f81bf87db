// What can be done to a process at a point of its execution, and which errno suits which call.
#pragma once

#include <boost/describe/enum.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::tracing {

BOOST_DEFINE_ENUM_CLASS(FaultKind, kill, // SIGKILL
                        term,            // SIGTERM
                        oom,             // the kernel's own kill: its memory cgroup closes there
                        errno_)          // the call fails instead of being done

struct Fault {
  FaultKind kind = FaultKind::kill;
  int error = 0; // of errno_

  auto operator<=>(const Fault &) const = default;
};

/// `kill`, `errno:EAGAIN`.
std::string to_text(const Fault &fault);
/// Nothing if it is none. `errno` alone is no fault: which one depends on the call.
std::optional<Fault> parse_fault(std::string_view text);

/// The errors that a machine short of something gives this call, by its manual page; none: it does not fail in such a
/// way. `target`: what it is about, as Stop has it: only memory and files can be full.
std::vector<int> errors_of(std::string_view call, std::string_view target);

/// `EAGAIN`; `errno 95` for those that have no name here.
std::string error_name(int error);

} // namespace pidleak::tracing

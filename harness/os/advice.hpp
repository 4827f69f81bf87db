// What to do about what the kernel refuses, in sentences that stand behind the refusal.
#pragma once

#include <string>

namespace pidleak::os {

/// The value of a setting, as sysctl(8) names it: `kernel.yama.ptrace_scope`. Without the line's end; empty where this
/// kernel has no such setting, or does not show it.
std::string read_sysctl(const std::string &name);

/// `kernel.perf_event_paranoid is 3: as root, `sysctl kernel.perf_event_paranoid=2` allows it`
std::string advise_sysctl(const std::string &name, const std::string &wanted);

/// Behind an EPERM that no setting explains.
constexpr const char *seccomp_may_refuse = "A container's profile, or another seccomp filter, may refuse it";

/// `refusal`, of looking into another process, with what to do: about yama(7), Linux 3.4, where its setting refuses
/// this even to those above that process; else `other`. Empty if `refusal` is.
std::string or_yama(const std::string &refusal, const std::string &other, const std::string &wanted = "1");

} // namespace pidleak::os

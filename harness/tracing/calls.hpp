// System calls by name, and what a call is about.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

namespace pidleak::tracing {

/// As this machine's headers name it; `call 999` for a number that they don't know.
std::string call_name(std::uint64_t number);

/// What a call with these arguments is about, of a stopped process: the target of its descriptor (`pipe:[123]`, a
/// path), the path that it names, the memory that its futex is in; empty: nothing of this kind.
std::string target_of(pid_t pid, std::uint64_t number, const std::array<std::uint64_t, 6> &arguments);

/// The futex or semaphore at `address` of a process, the same in every process that shares it: `03:02 1234 +0x40`;
/// empty where the memory is the process's own.
std::string shared_place(pid_t pid, std::uint64_t address);

} // namespace pidleak::tracing

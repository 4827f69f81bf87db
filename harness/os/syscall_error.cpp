#include "harness/os/syscall_error.hpp"

#include <cstring>

namespace pidleak::os {

std::string describe_errno(int error) {
  const char *name = strerrorname_np(error); // glibc 2.32
  return fmt::format("{} ({})", name ? name : std::to_string(error),
                     strerrordesc_np(error) ? strerrordesc_np(error) : "unknown");
}

SyscallError::SyscallError(int error, const std::string &call)
    : std::runtime_error(call + ": " + describe_errno(error)), error_(error) {}

} // namespace pidleak::os

#include "harness/os/syscall_error.hpp"

#include <cstring>

namespace pidleak::os {

std::string describe_errno(int error) {
  const char *name = strerrorname_np(error); // glibc 2.32
  return fmt::format("{} ({})", name ? name : std::to_string(error),
                     strerrordesc_np(error) ? strerrordesc_np(error) : "unknown");
}

SyscallError::SyscallError(int error, const std::string &call)
    : std::system_error(error, std::generic_category()),
      text_(std::make_shared<std::string>(call + ": " + describe_errno(error))) {}

} // namespace pidleak::os

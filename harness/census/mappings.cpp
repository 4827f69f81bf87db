#include "harness/census/mappings.hpp"

#include "harness/census/boundary.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <algorithm>
#include <cstdio>

namespace pidleak::census {

std::string Mapping::identity() const {
  unsigned major = 0, minor = 0;
  std::sscanf(device.c_str(), "%x:%x", &major, &minor);
  return identity_of_file(major, minor, inode);
}

std::optional<Mapping> parse_mapping(const std::string &line) {
  Mapping mapping;
  char permissions[8] = {}, device[16] = {};
  int path_at = 0;
  if (std::sscanf(line.c_str(), "%lx-%lx %7s %lx %15s %lu %n", &mapping.first, &mapping.end, permissions,
                  &mapping.offset, device, &mapping.inode, &path_at) < 6)
    return {};
  mapping.is_shared = permissions[3] == 's';
  mapping.device = device;
  mapping.path = path_at > 0 ? line.substr(static_cast<std::size_t>(path_at)) : "";
  return mapping;
}

std::vector<Mapping> read_mappings(pid_t pid) {
  std::vector<Mapping> mappings;
  std::string text;
  try {
    text = os::read_file(fmt::format("/proc/{}/maps", pid));
  } catch (const os::SyscallError &) {
    return mappings; // gone, or not for this user
  }
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    if (auto mapping = parse_mapping(text.substr(at, end - at)))
      mappings.push_back(std::move(*mapping));
    at = end + 1;
  }
  return mappings;
}

} // namespace pidleak::census

// The memory map of a process, as far as it tells what is shared: proc_pid_maps(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::census {

/// A line of /proc/PID/maps.
struct Mapping {
  std::uint64_t first = 0, end = 0, offset = 0, inode = 0;
  bool is_shared = false;
  std::string device, path; // device: `MAJOR:MINOR` in hexadecimal; path: any bytes, `/memfd:...`, `/[aio] (deleted)`
  std::string identity() const; // as identity_of_file() has it
};

std::optional<Mapping> parse_mapping(const std::string &line);

/// Empty of a process that has gone, or that this user may not look at: every other has some.
std::vector<Mapping> read_mappings(pid_t pid);

} // namespace pidleak::census

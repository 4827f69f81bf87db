// Programs that serve others for as long as this process lives, and are no leak: resource trackers, fork servers.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace pidleak::library {

struct Helper {
  std::string command_line; // fnmatch(3), on the arguments joined by spaces
  std::string role;
};

/// Empty: it is none. What a helper forks is none, as long as it executes nothing.
std::string role_of(pid_t pid, const std::vector<Helper> &helpers);

} // namespace pidleak::library

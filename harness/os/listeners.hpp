// The addresses that sockets listen on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pidleak::os {

/// What the sockets with these inodes listen on, in the network namespace of `pid`, each once: `tcp 127.0.0.1:8765`,
/// `udp [::]:53`, `unix /run/x`. Of unix sockets only where that is the caller's namespace.
std::vector<std::string> listening_addresses(pid_t pid, const std::vector<std::uint64_t> &inodes);

} // namespace pidleak::os

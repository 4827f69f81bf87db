// The addresses that sockets listen on, as /proc/PID/net has them: proc_pid_net(5), Linux 2.6.25.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::os {

struct Listener {
  std::uint64_t inode = 0; // of `socket:[INODE]` in /proc/PID/fd
  std::string address;     // `127.0.0.1:8765`, `[::]:80`
};

/// The listening sockets of a /proc/PID/net/tcp or tcp6, or the bound ones without a peer of a udp or udp6. Lines that
/// are none are left out.
std::vector<Listener> parse_listeners(std::string_view text, bool is_tcp);

/// What the sockets with these inodes listen on, in the network namespace of `pid`, each once: `tcp 127.0.0.1:8765`,
/// `udp [::]:53`, `unix /run/x`. Of unix sockets only where that is the caller's namespace.
std::vector<std::string> listening_addresses(pid_t pid, const std::vector<std::uint64_t> &inodes);

} // namespace pidleak::os

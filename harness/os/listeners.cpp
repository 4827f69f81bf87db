#include "harness/os/listeners.hpp"

#include "harness/os/inet_sockets.hpp"
#include "harness/os/unix_sockets.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pidleak::os {

std::vector<std::string> listening_addresses(pid_t pid, const std::vector<std::uint64_t> &inodes) {
  std::vector<std::string> addresses;
  auto add = [&](std::string address) {
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(std::move(address));
  };
  if (inodes.empty())
    return addresses;
  for (const char *table : {"tcp", "tcp6", "udp", "udp6"}) {
    auto protocol = std::string_view(table).substr(0, 3);
    auto waits_for_any = protocol == "tcp" ? "0A" /* listens */ : "07" /* has no peer */;
    for (const auto &socket : read_inet_sockets(pid, table))
      if (socket.state == waits_for_any && std::find(inodes.begin(), inodes.end(), socket.inode) != inodes.end())
        add(fmt::format("{} {}", protocol, socket.local));
  }
  for (auto inode : inodes)
    if (auto socket = find_unix_socket(inode); socket && socket->listens)
      add(fmt::format("unix {}", socket->path.starts_with('\0') ? "@" + socket->path.substr(1)
                                                                : socket->path.substr(0, socket->path.find('\0'))));
  return addresses;
}

} // namespace pidleak::os

#include "harness/os/inet_sockets.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"
#include "harness/os/words.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

namespace pidleak::os {
namespace {

constexpr std::string_view listens = "0A";

/// `0100007F:1F90`: the address in words of 32 bits, each as this machine reads its bytes; the port in hexadecimal.
std::optional<std::string> address_in(std::string_view text) {
  auto colon = text.find(':');
  if (colon != 8 && colon != 32)
    return {};
  std::uint16_t port = 0;
  std::array<std::uint32_t, 4> words{};
  for (std::size_t at = 0; at < colon; at += 8)
    if (!parse_number(text.substr(at, 8), words.at(at / 8), 16))
      return {};
  if (!parse_number(text.substr(colon + 1), port, 16))
    return {};
  std::array<char, INET6_ADDRSTRLEN> shown{};
  ::inet_ntop(colon == 8 ? AF_INET : AF_INET6, words.data(), shown.data(), shown.size());
  return colon == 8 ? fmt::format("{}:{}", shown.data(), port) : fmt::format("[{}]:{}", shown.data(), port);
}

/// An IPv4 address that an IPv6 socket has, as its peer may have it.
std::string without_mapping(const std::string &address) {
  constexpr std::string_view mapped = "[::ffff:";
  auto end = address.find(']');
  if (!address.starts_with(mapped) || address.find('.') == address.npos)
    return address;
  return address.substr(mapped.size(), end - mapped.size()) + address.substr(end + 1);
}

std::string read_or_nothing(const std::string &path) {
  try {
    return read_file(path);
  } catch (const SyscallError &) {
    return ""; // this kernel has no IPv6, or the process has gone
  }
}

} // namespace

std::vector<InetSocket> parse_inet_sockets(std::string_view text) {
  std::vector<InetSocket> sockets;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto words = split_words(line); // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    if (words.size() < 10)
      continue;
    auto local = address_in(words[1]), remote = address_in(words[2]);
    std::uint64_t inode = 0;
    if (local && remote && parse_number(words[9], inode) && inode != 0)
      sockets.push_back({.inode = inode, .local = *local, .remote = *remote, .state = std::string(words[3])});
  }
  return sockets;
}

std::vector<InetSocket> read_inet_sockets(pid_t pid, std::string_view table) {
  return parse_inet_sockets(read_or_nothing(fmt::format("/proc/{}/net/{}", pid, table)));
}

bool is_listening(int port) {
  auto end = fmt::format(":{}", port);
  for (const char *table : {"tcp", "tcp6"})
    for (const auto &socket : read_inet_sockets(::getpid(), table))
      if (socket.state == listens && socket.local.ends_with(end))
        return true;
  return false;
}

TcpConnections::TcpConnections(pid_t pid) {
  std::map<std::pair<std::string, std::string>, std::uint64_t> ends; // by their own address and the other one's
  for (const char *table : {"tcp", "tcp6"})
    for (const auto &socket : read_inet_sockets(pid, table))
      if (socket.state != listens) {
        remotes_.emplace(socket.inode, without_mapping(socket.remote));
        ends.emplace(std::pair(without_mapping(socket.local), without_mapping(socket.remote)), socket.inode);
      }
  for (const auto &[addresses, inode] : ends)
    if (auto other = ends.find({addresses.second, addresses.first}); other != ends.end())
      peers_.emplace(inode, other->second);
}

std::string TcpConnections::peer_of(const std::string &link) const {
  auto inode = socket_inode(link);
  auto found = inode ? peers_.find(*inode) : peers_.end();
  return found == peers_.end() ? "" : fmt::format("socket:[{}]", found->second);
}

std::string TcpConnections::remote_of(const std::string &link) const {
  auto inode = socket_inode(link);
  auto found = inode ? remotes_.find(*inode) : remotes_.end();
  return found == remotes_.end() ? "" : found->second;
}

} // namespace pidleak::os

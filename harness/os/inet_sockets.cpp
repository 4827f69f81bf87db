#include "harness/os/inet_sockets.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace pidleak::os {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    auto begin = line.find_first_not_of(' ');
    if (begin == line.npos)
      return words;
    auto end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

template <class Number>
std::optional<Number> number_in(std::string_view text, int base) {
  Number number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// `0100007F:1F90`: the address in words of 32 bits, each as this machine reads its bytes; the port in hexadecimal.
std::optional<std::string> address_in(std::string_view text) {
  auto colon = text.find(':');
  if (colon != 8 && colon != 32)
    return {};
  auto port = number_in<std::uint16_t>(text.substr(colon + 1), 16);
  std::array<std::uint32_t, 4> words{};
  for (std::size_t at = 0; at < colon; at += 8) {
    auto word = number_in<std::uint32_t>(text.substr(at, 8), 16);
    if (!word)
      return {};
    words.at(at / 8) = *word;
  }
  if (!port)
    return {};
  std::array<char, INET6_ADDRSTRLEN> shown{};
  ::inet_ntop(colon == 8 ? AF_INET : AF_INET6, words.data(), shown.data(), shown.size());
  return colon == 8 ? fmt::format("{}:{}", shown.data(), *port) : fmt::format("[{}]:{}", shown.data(), *port);
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
    auto words = words_of(line); // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    if (words.size() < 10)
      continue;
    auto local = address_in(words[1]), remote = address_in(words[2]);
    auto inode = number_in<std::uint64_t>(words[9], 10);
    if (local && remote && inode && *inode != 0)
      sockets.push_back({.inode = *inode, .local = *local, .remote = *remote, .state = std::string(words[3])});
  }
  return sockets;
}

std::vector<InetSocket> read_inet_sockets(pid_t pid, std::string_view table) {
  return parse_inet_sockets(read_or_nothing(fmt::format("/proc/{}/net/{}", pid, table)));
}

TcpConnections::TcpConnections(pid_t pid) {
  constexpr std::string_view listens = "0A";
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

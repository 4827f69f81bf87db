#include "harness/os/listeners.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
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

std::string read_or_nothing(const std::string &path) {
  try {
    return read_file(path);
  } catch (const SyscallError &) {
    return ""; // this kernel has no IPv6, or the process has gone
  }
}

} // namespace

std::vector<Listener> parse_listeners(std::string_view text, bool is_tcp) {
  constexpr std::string_view tcp_listens = "0A", udp_unconnected = "07";
  std::vector<Listener> listeners;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto words = words_of(line); // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    if (words.size() < 10 || words[3] != (is_tcp ? tcp_listens : udp_unconnected))
      continue;
    auto address = address_in(words[1]);
    auto inode = number_in<std::uint64_t>(words[9], 10);
    if (address && inode && *inode != 0)
      listeners.push_back({.inode = *inode, .address = *address});
  }
  return listeners;
}

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
    for (const auto &listener :
         parse_listeners(read_or_nothing(fmt::format("/proc/{}/net/{}", pid, table)), protocol == "tcp"))
      if (std::find(inodes.begin(), inodes.end(), listener.inode) != inodes.end())
        add(fmt::format("{} {}", protocol, listener.address));
  }
  for (auto inode : inodes)
    if (auto socket = find_unix_socket(inode); socket && socket->listens)
      add(fmt::format("unix {}", socket->path.starts_with('\0') ? "@" + socket->path.substr(1) : socket->path));
  return addresses;
}

} // namespace pidleak::os

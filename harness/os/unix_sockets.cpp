#include "harness/os/unix_sockets.hpp"

#include "harness/os/unique_fd.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

namespace pidleak::os {
namespace {

struct Request {
  nlmsghdr header;
  unix_diag_req query;
};

bool ask(int netlink, std::uint64_t inode) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.query.sdiag_family = AF_UNIX;
  request.query.udiag_states = ~0U;
  request.query.udiag_ino = static_cast<std::uint32_t>(inode);
  request.query.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
  request.query.udiag_cookie[0] = request.query.udiag_cookie[1] = ~0U; // any
  return ::send(netlink, &request, sizeof request, 0) == sizeof request;
}

UnixSocket read_answer(const unix_diag_msg &message, std::size_t length) {
  UnixSocket found{.is_stream = message.udiag_type == SOCK_STREAM || message.udiag_type == SOCK_SEQPACKET,
                   .listens = message.udiag_state == TCP_LISTEN};
  auto left = static_cast<int>(length - NLMSG_ALIGN(sizeof message));
  const auto *first = reinterpret_cast<const char *>(&message) + NLMSG_ALIGN(sizeof message);
  for (const auto *attribute = reinterpret_cast<const rtattr *>(first); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    const auto *data = static_cast<const char *>(RTA_DATA(attribute));
    if (attribute->rta_type == UNIX_DIAG_NAME)
      found.path.assign(data, RTA_PAYLOAD(attribute));
    std::uint32_t peer = 0;
    if (attribute->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attribute) >= sizeof peer) {
      std::memcpy(&peer, data, sizeof peer);
      found.peer = peer;
    }
  }
  return found;
}

} // namespace

std::optional<UnixSocket> find_unix_socket(std::uint64_t inode) {
  auto netlink = UniqueFd::adopt(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink || !ask(netlink.get(), inode))
    return {};
  alignas(nlmsghdr) char buffer[4096];
  auto got = ::recv(netlink.get(), buffer, sizeof buffer, MSG_DONTWAIT); // the kernel has answered within send()
  const auto *header = reinterpret_cast<const nlmsghdr *>(buffer);
  if (got < 0 || !NLMSG_OK(header, static_cast<unsigned>(got)) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header->nlmsg_len < NLMSG_LENGTH(sizeof(unix_diag_msg)))
    return {};
  return read_answer(*static_cast<const unix_diag_msg *>(NLMSG_DATA(header)), header->nlmsg_len - NLMSG_HDRLEN);
}

std::optional<std::uint64_t> socket_inode(const std::string &link) {
  constexpr std::string_view start = "socket:[";
  std::uint64_t inode = 0;
  if (!link.starts_with(start) ||
      std::from_chars(link.data() + start.size(), link.data() + link.size(), inode).ec != std::errc())
    return {};
  return inode;
}

std::string peer_of_unix_socket(const std::string &link) {
  auto inode = socket_inode(link);
  auto found = inode ? find_unix_socket(*inode) : std::nullopt;
  return found && found->peer != 0 ? fmt::format("socket:[{}]", found->peer) : "";
}

} // namespace pidleak::os

// Who is at the other end of a unix socket: sock_diag(7), which needs CONFIG_UNIX_DIAG (Linux 3.3) and no privilege.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pidleak::os {

struct UnixSocket {
  bool is_stream = false; // or a sequence of packets: bytes come from the peer alone
  bool listens = false;
  std::uint64_t peer = 0; // inode of the socket that it is connected to; 0: none
  std::string path;       // what it is bound to, any bytes; an abstract name begins with NUL
};

/// The unix socket with this inode (`socket:[INODE]` in /proc/PID/fd) in the caller's network namespace; nothing if
/// there is none, or this kernel does not say.
std::optional<UnixSocket> find_unix_socket(std::uint64_t inode);

/// The N of `socket:[N]`, which a descriptor of any kind of socket links to; nothing: it is no socket.
std::optional<std::uint64_t> socket_inode(const std::string &link);

/// The other end of the one that a descriptor links to, `socket:[INODE]` both; empty: it is no connected unix socket,
/// or this kernel does not say.
std::string peer_of_unix_socket(const std::string &link);

} // namespace pidleak::os

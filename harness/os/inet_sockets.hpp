// TCP and UDP sockets as /proc/PID/net/{tcp,tcp6,udp,udp6} have them: proc_pid_net(5), Linux 2.6.25.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::os {

struct InetSocket {
  std::uint64_t inode = 0;   // of `socket:[INODE]` in /proc/PID/fd
  std::string local, remote; // `127.0.0.1:8765`, `[::]:80`
  std::string state;         // two hexadecimal digits, as in net/tcp_states.h
};

/// Lines that are none are left out, and so are sockets that have gone.
std::vector<InetSocket> parse_inet_sockets(std::string_view text);

/// Those of one table (`tcp`, `udp6`) in the network namespace of `pid`; none if the kernel has no such table.
std::vector<InetSocket> read_inet_sockets(pid_t pid, std::string_view table);

/// Whether a TCP socket of this network namespace listens on that port, on whichever address.
bool is_listening(int port);

/// The TCP connections of which both ends are on this machine, in the network namespace of `pid`.
class TcpConnections {
public:
  explicit TcpConnections(pid_t pid);
  /// The other end of a `socket:[INODE]`, in the same form; empty: it is no such connection.
  std::string peer_of(const std::string &link) const;
  /// `127.0.0.1:80`, wherever that is; empty: it is no TCP connection.
  std::string remote_of(const std::string &link) const;

private:
  std::map<std::uint64_t, std::uint64_t> peers_; // inodes
  std::map<std::uint64_t, std::string> remotes_;
};

} // namespace pidleak::os

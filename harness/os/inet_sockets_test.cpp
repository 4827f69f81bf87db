#include "harness/os/inet_sockets.hpp"

#include <catch2/catch_test_macros.hpp>

using pidleak::os::parse_inet_sockets;

namespace {

constexpr const char *first_line =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

std::string line(const std::string &local, const std::string &state, const std::string &inode) {
  return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " +
         inode + " 1 ffff 100 0 0 10 0\n";
}

std::string sockets_in(const std::string &lines) {
  std::string found;
  for (const auto &socket : parse_inet_sockets(first_line + lines))
    found += std::to_string(socket.inode) + " " + socket.local + " " + socket.remote + " " + socket.state + "\n";
  return found;
}

} // namespace

TEST_CASE("TCP and UDP sockets are read with their addresses", "[os]") {
  CHECK(sockets_in(line("0100007F:1F90", "0A", "42")) == "42 127.0.0.1:8080 0.0.0.0:0 0A\n");
  CHECK(sockets_in(line("00000000:0035", "07", "9")) == "9 0.0.0.0:53 0.0.0.0:0 07\n");
  auto v6 = line("00000000000000000000000001000000:0050", "01", "7");
  v6.replace(v6.find("00000000:0000 "), 14, "0000000000000000FFFF00000100007F:0051 ");
  CHECK(sockets_in(v6) == "7 [::1]:80 [::ffff:127.0.0.1]:81 01\n");
}

TEST_CASE("lines of other shapes are left out", "[os]") {
  for (const char *wrong :
       {"", "\n", "   0: 0100007F:1F90 x 0A\n", "no line of a table at all, but with ten words in it\n"})
    CHECK(sockets_in(wrong).empty());
  CHECK(sockets_in(line("0100007:1F90", "0A", "42")).empty());
  CHECK(sockets_in(line("0100007F:1F9000", "0A", "42")).empty());
  CHECK(sockets_in(line("0100007F:1F90", "0A", "0")).empty()); // a socket that is gone
  CHECK(sockets_in(line("0100007F:1F90", "0A", "-1")).empty());
}

#include "harness/os/listeners.hpp"

#include <catch2/catch_test_macros.hpp>

using pidleak::os::parse_listeners;

namespace {

constexpr const char *first_line =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

std::string line(const std::string &local, const std::string &state, const std::string &inode) {
  return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " +
         inode + " 1 ffff 100 0 0 10 0\n";
}

std::string addresses_in(const std::string &lines, bool is_tcp = true) {
  std::string found;
  for (const auto &listener : parse_listeners(first_line + lines, is_tcp))
    found += std::to_string(listener.inode) + " " + listener.address + "\n";
  return found;
}

} // namespace

TEST_CASE("listening sockets are read, and connected ones are not", "[os]") {
  CHECK(addresses_in(line("0100007F:1F90", "0A", "42")) == "42 127.0.0.1:8080\n");
  CHECK(addresses_in(line("00000000000000000000000001000000:0050", "0A", "7")) == "7 [::1]:80\n");
  CHECK(addresses_in(line("0100007F:1F90", "01", "42")).empty());                   // established
  CHECK(addresses_in(line("00000000:0035", "07", "9"), false) == "9 0.0.0.0:53\n"); // udp, without a peer
  CHECK(addresses_in(line("00000000:0035", "0A", "9"), false).empty());
}

TEST_CASE("lines of other shapes are left out", "[os]") {
  for (const char *wrong :
       {"", "\n", "   0: 0100007F:1F90 x 0A\n", "no line of a table at all, but with ten words in it\n"})
    CHECK(addresses_in(wrong).empty());
  CHECK(addresses_in(line("0100007:1F90", "0A", "42")).empty());
  CHECK(addresses_in(line("0100007F:1F9000", "0A", "42")).empty());
  CHECK(addresses_in(line("0100007F:1F90", "0A", "0")).empty()); // a socket that is gone
  CHECK(addresses_in(line("0100007F:1F90", "0A", "-1")).empty());
}

// Text of /proc and of cgroup files, as no kernel would write it: it is parsed or refused, and never more than that.
#include "harness/census/mappings.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/scratch_cgroup.hpp"

#include <cstdint>

using namespace pidleak;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  os::parse_stat(text);
  os::parse_status(text);
  os::parse_syscall(text);
  os::parse_pid_list(text);
  os::fdinfo_lines(text, "tfd");
  os::cgroup_value(text, "oom_kill");
  os::parse_inet_sockets(text);
  census::parse_mapping(text);
  for (const char *controller : {"memory", "pids"})
    os::locate_cgroup(text, text, controller);
  return 0;
}

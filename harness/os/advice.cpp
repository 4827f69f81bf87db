#include "harness/os/advice.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <algorithm>

namespace pidleak::os {

std::string read_sysctl(const std::string &name) {
  auto path = "/proc/sys/" + name;
  std::replace(path.begin(), path.end(), '.', '/');
  try {
    auto value = read_file(path);
    return value.substr(0, value.find('\n'));
  } catch (const SyscallError &) { // not of this kernel, or /proc/sys is hidden
    return "";
  }
}

std::string advise_sysctl(const std::string &name, const std::string &wanted) {
  return fmt::format("{0} is {1}: as root, `sysctl {0}={2}` allows it", name, read_sysctl(name), wanted);
}

std::string or_yama(const std::string &refusal, const std::string &other, const std::string &wanted) {
  const std::string name = "kernel.yama.ptrace_scope";
  if (refusal.empty())
    return "";
  auto scope = read_sysctl(name);
  if (scope == "3")
    return fmt::format("{}. {} is 3, and stays so until the machine is started anew", refusal, name);
  if (scope == "2")
    return fmt::format("{}. {}, and so does CAP_SYS_PTRACE", refusal, advise_sysctl(name, wanted));
  return fmt::format("{}. {}", refusal, other);
}

} // namespace pidleak::os

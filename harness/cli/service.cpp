#include "harness/cli/service.hpp"

#include "harness/cli/command_line.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace pidleak::cli {
namespace {

[[noreturn]] void refuse(pid_t pid, const std::string &why) {
  throw UsageError(fmt::format("--attach {}: {}", pid, why));
}

std::optional<os::ProcessRef> open(pid_t pid) {
  try {
    return os::ProcessRef::open(pid);
  } catch (const os::SyscallError &e) {
    refuse(pid, e.what());
  }
}

} // namespace

os::ProcessRef find_service(pid_t pid) {
  for (pid_t above : os::read_lineage(::getpid()))
    if (above == pid)
      refuse(pid, pid == ::getpid() ? "that is this guard itself" : "guard runs below it, and would watch itself");
  auto service = open(pid);
  if (service && os::read_command_line(pid).empty() && !os::read_executable(pid) && !service->has_exited() &&
      ::geteuid() == 0) // others can't read whose program it is
    refuse(pid, "that is a kernel thread");
  if (service && !service->has_exited())
    return std::move(*service);
  if (service)
    refuse(pid, "it has ended already");
  if (os::read_stat(pid))
    refuse(pid, "that is a thread, not a process");
  // getpgid(2) asks for no permission, whatever /proc hides (proc(5), hidepid).
  refuse(pid, ::getpgid(pid) >= 0 ? "this user may not see it in /proc" : "there is no such process");
}

} // namespace pidleak::cli

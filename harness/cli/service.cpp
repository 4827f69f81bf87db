#include "harness/cli/service.hpp"

#include "harness/cli/command_line.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace pidleak::cli {
namespace {

[[noreturn]] void refuse(const std::string &asked, const std::string &why) {
  throw UsageError(fmt::format("{}: {}", asked, why));
}

std::optional<os::ProcessRef> open(pid_t pid, const std::string &asked) {
  try {
    return os::ProcessRef::open(pid);
  } catch (const os::SyscallError &e) {
    refuse(asked, e.what());
  }
}

} // namespace

os::ProcessRef find_process(pid_t pid, const std::string &asked) {
  auto process = open(pid, asked);
  if (process && os::read_command_line(pid).empty() && !os::read_executable(pid) && !process->has_exited() &&
      ::geteuid() == 0) // others can't read whose program it is
    refuse(asked, "that is a kernel thread");
  if (process && !process->has_exited())
    return std::move(*process);
  if (process)
    refuse(asked, "it has ended already");
  if (os::read_stat(pid))
    refuse(asked, "that is a thread, not a process");
  // getpgid(2) asks for no permission, whatever /proc hides (proc(5), hidepid).
  refuse(asked, ::getpgid(pid) >= 0 ? "this user may not see it in /proc" : "there is no such process");
}

os::ProcessRef find_service(pid_t pid) {
  auto asked = fmt::format("--attach {}", pid);
  for (pid_t above : os::read_lineage(::getpid()))
    if (above == pid)
      refuse(asked, pid == ::getpid() ? "that is this guard itself" : "guard runs below it, and would watch itself");
  return find_process(pid, asked);
}

} // namespace pidleak::cli

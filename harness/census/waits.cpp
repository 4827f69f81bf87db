#include "harness/census/waits.hpp"

#include "harness/census/mappings.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pidleak::census {

namespace {

Wait unless_timed(bool has_no_timeout, Wait wait) { return has_no_timeout ? wait : Wait::with_timer; }

Wait futex_wait(const os::ProcSyscall &call) {
  auto operation = call.arguments[1] & FUTEX_CMD_MASK;
  if (operation != FUTEX_WAIT && operation != FUTEX_WAIT_BITSET && operation != FUTEX_LOCK_PI)
    return Wait::unknown_call;
  return unless_timed(call.arguments[3] == 0, Wait::for_lock);
}

} // namespace

Wait wait_of(const os::ProcSyscall &call) {
  const auto &arguments = call.arguments;
  switch (call.number) {
  case SYS_read:
  case SYS_readv:
  case SYS_recvfrom:
  case SYS_recvmsg:
  case SYS_accept:
  case SYS_accept4:
    return Wait::to_read;
  case SYS_write:
  case SYS_writev:
  case SYS_sendto:
  case SYS_sendmsg:
    return Wait::to_write;
  case SYS_wait4:
  case SYS_waitid:
    return Wait::for_child;
  case SYS_rt_sigsuspend:
    return Wait::for_signal;
  case SYS_rt_sigtimedwait:
    return unless_timed(arguments[2] == 0, Wait::for_signal);
  case SYS_futex:
    return futex_wait(call);
  case SYS_ppoll:
    return unless_timed(arguments[2] == 0, Wait::for_any_of);
  case SYS_pselect6:
    return unless_timed(arguments[4] == 0, Wait::for_any_of);
  case SYS_epoll_pwait:
    return unless_timed(static_cast<int>(arguments[3]) < 0, Wait::for_any_of);
  case SYS_epoll_pwait2:
    return unless_timed(arguments[3] == 0, Wait::for_any_of);
  case SYS_nanosleep:
  case SYS_clock_nanosleep:
    return Wait::with_timer;
  case SYS_flock:
    return Wait::for_file_lock;
  case SYS_fcntl:
    return arguments[1] == F_SETLKW || arguments[1] == F_OFD_SETLKW ? Wait::for_file_lock : Wait::unknown_call;
  case SYS_openat:
    return Wait::to_open;
#ifdef SYS_poll // x86-64 has the older calls as well
  case SYS_open:
    return Wait::to_open;
  case SYS_pause:
    return Wait::for_signal;
  case SYS_poll:
    return unless_timed(static_cast<int>(arguments[2]) < 0, Wait::for_any_of);
  case SYS_select:
    return unless_timed(arguments[4] == 0, Wait::for_any_of);
  case SYS_epoll_wait:
    return unless_timed(static_cast<int>(arguments[3]) < 0, Wait::for_any_of);
#endif
  default:
    return Wait::unknown_call;
  }
}

bool polls(const os::ProcSyscall &call) {
  switch (call.number) {
  case SYS_ppoll:
  case SYS_pselect6:
  case SYS_epoll_pwait:
  case SYS_epoll_pwait2:
#ifdef SYS_poll
  case SYS_poll:
  case SYS_select:
  case SYS_epoll_wait:
#endif
    return true;
  default:
    return false;
  }
}

namespace {

std::string memory_of(const Mapping &mapping) { return fmt::format("{}:{}", mapping.device, mapping.inode); }

/// memfd_create(2); MAP_SHARED | MAP_ANONYMOUS, which shows as /dev/zero; POSIX shared memory, where the replay has a
/// directory of its own for it. Not what is held outside as well.
bool is_inside(const Mapping &mapping, const Boundary &boundary) {
  return !boundary.outside.contains(mapping.identity()) &&
         (mapping.path.starts_with("/memfd:") || mapping.path == "/dev/zero (deleted)" ||
          (boundary.own_shared_memory && mapping.path.starts_with("/dev/shm/")));
}

} // namespace

std::optional<Lock> lock_of(pid_t pid, const os::ProcSyscall &call, const Boundary &boundary) {
  const Lock own{.is_inside = true, .name = "private lock", .memory = ""};
  if ((call.arguments[1] & FUTEX_PRIVATE_FLAG) != 0)
    return own;
  auto address = call.arguments[0];
  for (const auto &mapping : read_mappings(pid)) {
    if (address < mapping.first || address >= mapping.end)
      continue;
    if (!mapping.is_shared)
      return own;
    return Lock{.is_inside = is_inside(mapping, boundary),
                .name = fmt::format("lock {}+{:#x}", memory_of(mapping), mapping.offset + (address - mapping.first)),
                .memory = mapping.identity()};
  }
  return {};
}

std::vector<std::string> shared_memory_of(const std::vector<Mapping> &mappings) {
  std::vector<std::string> memories;
  for (const auto &mapping : mappings)
    if (mapping.is_shared && mapping.inode != 0)
      memories.push_back(memory_of(mapping));
  std::sort(memories.begin(), memories.end());
  memories.erase(std::unique(memories.begin(), memories.end()), memories.end());
  return memories;
}

std::optional<pid_t> child_of(const os::ProcSyscall &call) {
  auto kind = call.number == SYS_waitid ? static_cast<idtype_t>(call.arguments[0]) : P_PID;
  auto pid = static_cast<pid_t>(call.arguments[call.number == SYS_waitid ? 1 : 0]);
  return kind == P_PID && pid > 0 ? std::optional(pid) : std::nullopt;
}

namespace {

std::string target_of(const std::vector<os::ProcFd> &fds, std::uint64_t number) {
  for (const auto &fd : fds)
    if (fd.number == static_cast<int>(number))
      return fd.target;
  return "";
}

/// The text at an address of the process, ended by NUL; empty if it may not be read. A page of it at most.
std::string text_at(pid_t pid, std::uint64_t address) {
  std::array<char, 4096> text{};
  auto size = std::min<std::size_t>(text.size(), 4096 - address % 4096); // of that page alone: the next may be missing
  iovec here{.iov_base = text.data(), .iov_len = size};
  iovec there{.iov_base = reinterpret_cast<void *>(address), .iov_len = size}; // NOLINT(performance-no-int-to-ptr)
  auto got = ::process_vm_readv(pid, &here, 1, &there, 1, 0);
  if (got <= 0)
    return "";
  std::string_view all(text.data(), static_cast<std::size_t>(got));
  return std::string(all.substr(0, all.find('\0')));
}

/// With what it is: a relative one begins in the process's directory, others at its root, which not every user may see.
std::string opened_path(pid_t pid, const std::string &path) {
  if (path.empty())
    return "";
  struct stat file {};
  auto seen_from_here = fmt::format("/proc/{}/{}{}", pid, path.starts_with('/') ? "root" : "cwd/", path);
  if (::stat(seen_from_here.c_str(), &file) == 0)
    return S_ISFIFO(file.st_mode) ? fmt::format("{}{}", fifo, path) : path;
  return errno == ENOENT ? fmt::format("{}{}", path, gone_path) : path;
}

} // namespace

std::string object_of(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                      const std::optional<Lock> &lock) {
  switch (wait_of(call)) {
  case Wait::to_read:
  case Wait::to_write:
    return target_of(fds, call.arguments[0]);
  case Wait::for_file_lock:
    return fmt::format("{} {}", call.number == SYS_flock ? "flock" : "fcntl", target_of(fds, call.arguments[0]));
  case Wait::to_open:
    return opened_path(pid, text_at(pid, call.arguments[call.number == SYS_openat ? 1 : 0]));
  case Wait::for_lock:
    return lock ? lock->name : "";
  case Wait::for_child:
    if (auto child = child_of(call))
      return fmt::format("pid {}", *child);
    return "";
  default:
    return "";
  }
}

std::string path_of_lock(const std::string &lock) { return lock.substr(std::min(lock.find(' ') + 1, lock.size())); }

} // namespace pidleak::census

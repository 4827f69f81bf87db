#include "harness/tracing/calls.hpp"

#include "harness/census/mappings.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <map>

namespace pidleak::tracing {
namespace {

const std::map<std::uint64_t, const char *> &names_of_calls() {
  static const std::map<std::uint64_t, const char *> all = {
#include "call_names.inc" // made from this machine's <sys/syscall.h>, see harness/tracing/call_names.cmake
  };
  return all;
}

std::string descriptor_target(pid_t pid, int fd) {
  std::array<char, 4096> target{};
  auto size = ::readlink(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

/// A path in the memory of a process; cut where a page ends that can't be read.
std::string text_at(pid_t pid, std::uint64_t address) {
  std::array<char, 256> bytes{};
  constexpr std::uint64_t page = 4096;
  auto size = std::min<std::size_t>(bytes.size(), page - address % page);
  iovec local{.iov_base = bytes.data(), .iov_len = size};
  iovec remote{.iov_base = reinterpret_cast<void *>(address), .iov_len = size}; // NOLINT(performance-no-int-to-ptr)
  auto got = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  std::string_view text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  return std::string(text.substr(0, text.find('\0')));
}

} // namespace

std::string call_name(std::uint64_t number) {
  auto found = names_of_calls().find(number);
  return found == names_of_calls().end() ? fmt::format("call_{}", number) : found->second;
}

std::string shared_place(pid_t pid, std::uint64_t address) {
  for (const auto &mapping : census::read_mappings(pid))
    if (mapping.is_shared && mapping.first <= address && address < mapping.end)
      return fmt::format("{} {} +{:#x}", mapping.device, mapping.inode, address - mapping.first + mapping.offset);
  return "";
}

std::string target_of(pid_t pid, std::uint64_t number, const std::array<std::uint64_t, 6> &arguments) {
  switch (number) {
  case SYS_read:
  case SYS_write:
  case SYS_readv:
  case SYS_writev:
  case SYS_pread64:
  case SYS_close:
  case SYS_fstat:
  case SYS_lseek:
  case SYS_fcntl:
  case SYS_ioctl:
  case SYS_dup:
  case SYS_dup3:
  case SYS_ftruncate:
  case SYS_fallocate:
  case SYS_getdents64:
  case SYS_recvfrom:
  case SYS_recvmsg:
  case SYS_sendto:
  case SYS_sendmsg:
  case SYS_connect:
  case SYS_bind:
  case SYS_listen:
  case SYS_accept4:
    return descriptor_target(pid, static_cast<int>(arguments[0]));
  case SYS_openat:
  case SYS_newfstatat:
  case SYS_unlinkat:
  case SYS_readlinkat:
  case SYS_faccessat:
    return text_at(pid, arguments[1]);
  case SYS_execve:
#ifdef SYS_open // the older calls that x86-64 still has
  case SYS_open:
  case SYS_stat:
  case SYS_access:
  case SYS_unlink:
  case SYS_readlink:
  case SYS_mkdir:
#endif
    return text_at(pid, arguments[0]);
  case SYS_futex:
    return shared_place(pid, arguments[0]);
  default:
    return "";
  }
}

} // namespace pidleak::tracing

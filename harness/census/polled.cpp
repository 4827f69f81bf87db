// What a thread in poll(2), select(2) or epoll_wait(2) waits for: its arguments, read from its memory.
#include "harness/census/holdings.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <charconv>

namespace pidleak::census {
namespace {

constexpr std::uint64_t most_descriptors = 65536;
constexpr int deepest_epoll = 5; // EP_MAX_NESTS + 1 in fs/eventpoll.c

template <class T>
std::optional<std::vector<T>> read_array(pid_t pid, std::uint64_t address, std::size_t count) {
  std::vector<T> array(count);
  iovec here{.iov_base = array.data(), .iov_len = count * sizeof(T)},
      there{.iov_base = reinterpret_cast<void *>(address), .iov_len = count * sizeof(T)};
  auto wanted = static_cast<ssize_t>(count * sizeof(T));
  return ::process_vm_readv(pid, &here, 1, &there, 1, 0) == wanted ? std::optional(std::move(array)) : std::nullopt;
}

using Descriptors = std::optional<std::vector<int>>;

Descriptors of_poll(pid_t pid, const os::ProcSyscall &call, std::set<int> *for_errors_alone) {
  auto count = call.arguments[1] & 0xffffffff;
  auto entries = count <= most_descriptors ? read_array<pollfd>(pid, call.arguments[0], count) : std::nullopt;
  if (!entries)
    return {};
  std::vector<int> numbers;
  for (const auto &entry : *entries)
    if (entry.fd >= 0) {
      numbers.push_back(entry.fd);
      if (for_errors_alone && entry.events == 0)
        for_errors_alone->insert(entry.fd);
    }
  if (numbers.empty() && count > 0) // a thread may have written there since the call began
    return {};
  return numbers;
}

Descriptors of_select(pid_t pid, const os::ProcSyscall &call) {
  constexpr std::uint64_t bits = 64;
  auto highest = call.arguments[0] & 0xffffffff;
  if (highest > most_descriptors)
    return {};
  std::vector<int> numbers;
  for (int set = 1; set <= 3; ++set) {
    if (call.arguments[static_cast<std::size_t>(set)] == 0)
      continue;
    auto words =
        read_array<std::uint64_t>(pid, call.arguments[static_cast<std::size_t>(set)], (highest + bits - 1) / bits);
    if (!words)
      return {};
    for (std::uint64_t number = 0; number < highest; ++number)
      if (((*words)[number / bits] >> (number % bits) & 1) != 0)
        numbers.push_back(static_cast<int>(number));
  }
  return numbers;
}

const os::ProcFd *find(const std::vector<os::ProcFd> &fds, int number) {
  for (const auto &fd : fds)
    if (fd.number == number)
      return &fd;
  return nullptr;
}

/// Whether the process still has under this number what the epoll watches.
bool is_still_open(pid_t pid, int number, std::uint64_t inode) {
  struct stat file {};
  return ::stat(fmt::format("/proc/{}/fd/{}", pid, number).c_str(), &file) == 0 && file.st_ino == inode;
}

/// `tfd: 5 events: 19 data: 5 pos:0 ino:3f1 sdev:d` for each file that it watches (proc_pid_fdinfo(5); ino:
/// Linux 4.13).
bool add_watched(pid_t pid, int epoll, const std::vector<os::ProcFd> &fds, int depth, std::vector<int> &numbers) {
  const auto *fd = find(fds, epoll);
  if (!fd || depth > deepest_epoll)
    return false;
  for (const auto &words : os::fdinfo_lines(fd->info, "tfd")) {
    int number = -1;
    std::uint64_t inode = 0;
    for (const auto &word : words)
      if (word.starts_with("ino:"))
        std::from_chars(word.data() + 4, word.data() + word.size(), inode, 16);
    if (!words.empty())
      std::from_chars(words[0].data(), words[0].data() + words[0].size(), number);
    const auto *watched = find(fds, number);
    if (!watched || !is_still_open(pid, number, inode))
      return false;
    numbers.push_back(number);
    if (watched->target == "anon_inode:[eventpoll]" && !add_watched(pid, number, fds, depth + 1, numbers))
      return false;
  }
  return true;
}

} // namespace

Descriptors polled_descriptors(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                               std::set<int> *for_errors_alone) {
  Descriptors numbers;
  switch (call.number) {
#ifdef SYS_poll
  case SYS_poll:
#endif
  case SYS_ppoll:
    numbers = of_poll(pid, call, for_errors_alone);
    break;
#ifdef SYS_select
  case SYS_select:
#endif
  case SYS_pselect6:
    numbers = of_select(pid, call);
    break;
  default: // epoll_wait and its like: the descriptor comes first
    numbers = {static_cast<int>(call.arguments[0])};
  }
  if (!numbers)
    return {};
  for (std::size_t i = 0, direct = numbers->size(); i < direct; ++i)
    if (const auto *fd = find(fds, (*numbers)[i]); fd && fd->target == "anon_inode:[eventpoll]")
      if (!add_watched(pid, fd->number, fds, 1, *numbers))
        return {};
  return numbers;
}

} // namespace pidleak::census

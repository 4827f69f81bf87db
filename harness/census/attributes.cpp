#include "harness/census/attributes.hpp"

#include "harness/os/accounts.hpp"
#include "harness/os/listeners.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <tuple>

namespace pidleak::census {
namespace {

namespace fs = std::filesystem;

/// The path behind a link of /proc, and whether that file is there no more.
std::pair<std::string, bool> path_behind(const std::string &link) {
  std::error_code none;
  auto path = fs::read_symlink(link, none).string();
  constexpr std::string_view deleted = " (deleted)";
  bool is_gone = path.ends_with(deleted) && !fs::exists(path, none);
  return {is_gone ? path.substr(0, path.size() - deleted.size()) : path, is_gone};
}

/// The file that a command's name stands for, by this process's PATH; empty: there is none.
fs::path program_named(const std::string &name) {
  std::error_code none;
  if (name.find('/') != name.npos)
    return fs::canonical(name, none);
  const char *path = std::getenv("PATH");
  std::istringstream directories(path ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');)
    if (auto found = fs::canonical(fs::path(directory) / name, none); !found.empty())
      return found;
  return {};
}

/// Whether the first argument is a name of this program: its own, the start of it (python3), one that leads to it (sh),
/// or one with more behind it (`nginx: worker process`).
bool names(const std::string &argument, const std::string &executable) {
  auto own = fs::path(executable).filename().string();
  auto name = argument.starts_with('-') ? argument.substr(1) : argument; // a login shell's
  auto last = fs::path(name).filename().string();
  auto word = name.substr(0, name.find_first_of(": "));
  return (!last.empty() && own.starts_with(last)) || word == own || program_named(name) == executable;
}

double milliseconds_of(std::uint64_t ticks) {
  return static_cast<double>(ticks) * 1e3 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double age_of(const os::ProcStat &stat) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto since_boot = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
  return std::max(0.0, since_boot - milliseconds_of(stat.start_ticks));
}

/// smaps_rollup, Linux 4.14. Nothing: it has gone, or its memory may not be looked at.
std::optional<long> proportional_kib(pid_t pid) {
  try {
    for (const auto &line : os::fdinfo_lines(os::read_file(fmt::format("/proc/{}/smaps_rollup", pid)), "Pss")) {
      long kib = 0;
      if (!line.empty() && std::from_chars(line[0].data(), line[0].data() + line[0].size(), kib).ec == std::errc())
        return kib;
    }
  } catch (const os::SyscallError &) {
  }
  return {};
}

/// As /etc/passwd has it: getpwuid(3) would load modules, which a static program can't.
std::string name_of_user(uid_t uid) {
  auto account = os::find_account(uid);
  return account ? account->name : fmt::to_string(uid);
}

/// `lock:  1: FLOCK  ADVISORY  WRITE 123 08:01:456 0 EOF` of a fdinfo: held through this very descriptor, whichever
/// process has taken it. proc_pid_fdinfo(5), Linux 4.1.
std::vector<std::string> locks_through(const os::ProcFd &fd) {
  std::vector<std::string> locks;
  for (const auto &line : os::fdinfo_lines(fd.info, "lock"))
    if (line.size() > 1 && (line[1] == "FLOCK" || line[1] == "POSIX" || line[1] == "OFDLCK"))
      locks.push_back(fmt::format("{} {}", line[1] == "FLOCK" ? "flock" : "fcntl", fd.target));
  return locks;
}

void add_once(std::vector<std::string> &all, std::string one) {
  if (std::find(all.begin(), all.end(), one) == all.end())
    all.push_back(std::move(one));
}

} // namespace

Attributes read_attributes(pid_t pid, const os::ProcStat &stat, const std::optional<os::ProcStatus> &status,
                           const std::vector<std::string> &command_line, const std::vector<os::ProcFd> &fds) {
  Attributes attributes;
  attributes.age_ms = age_of(stat);
  attributes.cpu_ms = milliseconds_of(stat.cpu_ticks);
  if (!status)
    return attributes;
  auto directory = fmt::format("/proc/{}/", pid);
  std::tie(attributes.executable, attributes.executable_deleted) = path_behind(directory + "exe");
  attributes.name_lies =
      !attributes.executable.empty() && !command_line.empty() && !names(command_line.front(), attributes.executable);
  std::tie(attributes.directory, attributes.directory_deleted) = path_behind(directory + "cwd");
  std::error_code none;
  if (!attributes.directory_deleted && attributes.directory == fs::current_path(none))
    attributes.directory.clear();
  if (status->user != ::geteuid())
    attributes.user = name_of_user(status->user);
  attributes.rss_kib = status->resident_kib;
  attributes.pss_kib = proportional_kib(pid);
  attributes.is_namespace_init = status->namespace_pids.size() > 1 && status->namespace_pids.back() == 1;
  std::vector<std::uint64_t> sockets;
  for (const auto &fd : fds) {
    for (auto &lock : locks_through(fd))
      add_once(attributes.locks, std::move(lock));
    if (auto inode = os::socket_inode(fd.target))
      sockets.push_back(*inode);
  }
  attributes.listens = os::listening_addresses(pid, sockets);
  for (auto [number, name] : {std::pair(STDOUT_FILENO, "stdout"), std::pair(STDERR_FILENO, "stderr")}) {
    auto own = fs::read_symlink(fmt::format("/proc/self/fd/{}", number), none).string();
    if (own.starts_with("pipe:[") || os::socket_inode(own))
      for (const auto &fd : fds)
        if (fd.target == own)
          add_once(attributes.outputs, name);
  }
  return attributes;
}

} // namespace pidleak::census

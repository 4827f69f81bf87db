#include "harness/guard/own_cgroup.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/scratch_cgroup.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace pidleak::guard {
namespace {

/// A group can go at any time, may be unreadable for this user, and one of version 2 that is threaded has no list.
std::string read_or_empty(const std::string &path) {
  try {
    return os::read_file(path);
  } catch (const os::SyscallError &) {
    return "";
  }
}

} // namespace

std::string own_cgroup_of(pid_t service) {
  auto mounts = read_or_empty("/proc/self/mountinfo"),
       of_service = read_or_empty(fmt::format("/proc/{}/cgroup", service)),
       of_this = read_or_empty("/proc/self/cgroup");
  for (const char *controller : {"pids", "name=systemd"}) {
    auto theirs = os::locate_cgroup(mounts, of_service, controller).parent,
         ours = os::locate_cgroup(mounts, of_this, controller).parent;
    if (theirs.empty() || (ours + "/").starts_with(theirs + "/"))
      continue;
    auto members = members_of_cgroup(theirs); // a path of another cgroup namespace may be anything here
    if (std::find(members.begin(), members.end(), service) != members.end())
      return theirs;
  }
  return "";
}

std::vector<pid_t> members_of_cgroup(const std::string &directory) {
  namespace fs = std::filesystem;
  auto members = os::parse_pid_list(read_or_empty(directory + "/cgroup.procs"));
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (std::error_code ignored; entry->is_directory(ignored))
      for (pid_t pid : os::parse_pid_list(read_or_empty(entry->path() / "cgroup.procs")))
        members.push_back(pid);
  std::erase(members, 0); // of another PID namespace
  return members;
}

} // namespace pidleak::guard

// Control groups of one replay: where they can be made on this machine, and the owner of one.
//
// Version 1 and version 2 are both met in the field, and both at once (v2 mounted without controllers beside v1).
// Which one a controller is on is read from /proc/self/mountinfo and /proc/self/cgroup, and the file system's
// magic number is checked: a mkdir succeeds in a plain tmpfs as well. cgroups(7).
#pragma once

#include "harness/base/deadline.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pidleak::os {

enum class CgroupVersion { v1 = 1, v2 = 2 };

/// Where groups with one controller (memory, pids) can be made, or why they can't.
struct CgroupPlace {
  CgroupVersion version = CgroupVersion::v2;
  std::string parent; // absolute path; empty: none, and `lacks` says what is missing
  std::string lacks;
};

/// Pure part: finds the place for `controller` from the two files' text. Whether it may be written is not asked.
CgroupPlace locate_cgroup(std::string_view mountinfo, std::string_view self_cgroup, std::string_view controller);

/// The place for `controller` here, verified: a cgroup file system, writable, the controller handed down.
CgroupPlace find_cgroup_place(const std::string &controller);

/// Owns one directory in a cgroup file system. The destructor ends the processes left in it (through pidfds), and
/// removes it, within a second.
class ScratchCgroup {
public:
  /// mkdir(parent/name). Throws SyscallError.
  static ScratchCgroup create(const std::string &parent, const std::string &name);
  ScratchCgroup(ScratchCgroup &&other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchCgroup &operator=(ScratchCgroup &&) = delete;
  ~ScratchCgroup();

  const std::string &path() const { return path_; }
  void write(const std::string &file, std::string_view text) const;
  std::string read(const std::string &file) const;
  bool has(const std::string &file) const;
  /// The processes in it, as the caller's PID namespace numbers them (0: outside of it). No zombies.
  std::vector<pid_t> members() const;

private:
  explicit ScratchCgroup(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// Moves the calling process, which has one thread, into a group. Throws SyscallError.
void enter_cgroup(const std::string &path);

/// The value behind `key` in a flat-keyed cgroup file (`oom_kill 1`), or nothing.
std::optional<std::uint64_t> cgroup_value(std::string_view text, std::string_view key);

/// Ends what is left in a group and below it, and removes it. True if it is gone.
bool remove_cgroup(const std::string &path, Deadline deadline);

/// `pidleak-NAMESPACE-PID-START`: names the harness process that owns a group, for sweep_stale_cgroups.
std::string cgroup_owner_prefix();

/// Removes groups below `parent` whose owner, a harness in this PID namespace, is dead: both it and its warden
/// were killed. Returns how many.
int sweep_stale_cgroups(const std::string &parent);

} // namespace pidleak::os

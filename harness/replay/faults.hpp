// Faults that the driver injects into one worker, and what proves that they happened.
#pragma once

#include "harness/os/process_ref.hpp"
#include "harness/os/scratch_cgroup.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pidleak::replay {

/// A memory cgroup with room for little more than nothing. Its kills are the kernel's, and it counts them.
class OomTrap {
public:
  /// `group`: an empty memory cgroup, the sandbox's.
  OomTrap(std::string group, os::CgroupVersion version) : group_(std::move(group)), version_(version) {}

  /// Moves the victim in, alone, and sets the limit: what it had before stays charged where it was, so the limit
  /// holds for new pages only. The next `limit` KiB that it touches get it killed. Throws SyscallError.
  void close_on(const os::ProcessRef &victim, int limit = limit_kib);
  /// The kernel's count of OOM kills in this group (v1: memory.oom_control, Linux 4.13; v2: memory.events).
  std::uint64_t kills() const;

  static constexpr int limit_kib = 256;
  /// What the victim is told to touch: if it survives that, there was no limit.
  static constexpr int allocation_mib = 64;

private:
  std::string group_;
  os::CgroupVersion version_;
};

/// Holds up the exits of the others while a pool counts its live workers: stops the survivors (a SIGTERM stays
/// pending then), and traces the victim, which its parent can't reap as long as it is traced.
class SlowExits {
public:
  /// Throws SyscallError where tracing is not allowed (EPERM).
  SlowExits(const os::ProcessRef &victim, const std::vector<const os::ProcessRef *> &survivors, Deadline deadline);
  SlowExits(const SlowExits &) = delete;
  SlowExits &operator=(const SlowExits &) = delete;
  /// True while every survivor that lives is still stopped.
  bool still_held() const;
  /// Lets them all go.
  ~SlowExits();

private:
  pid_t victim_;
  std::vector<const os::ProcessRef *> survivors_;
};

} // namespace pidleak::replay

#include "harness/replay/faults.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/seize.hpp"

#include <sys/wait.h>

#include <csignal>

namespace pidleak::replay {

void OomTrap::close_on(const os::ProcessRef &victim, int limit) {
  bool v1 = version_ == os::CgroupVersion::v1;
  auto write = [&](const std::string &file, const std::string &value) { os::write_file(group_ + "/" + file, value); };
  auto write_if_there = [&](const std::string &file, const std::string &value) {
    if (::access((group_ + "/" + file).c_str(), F_OK) == 0) // without swap accounting they are not there
      write(file, value);
  };
  auto bytes = std::to_string(limit << 10);
  write("cgroup.procs", std::to_string(victim.pid()));
  write(v1 ? "memory.limit_in_bytes" : "memory.max", bytes);
  if (v1)
    write_if_there("memory.memsw.limit_in_bytes", bytes); // memory and swap together
  else
    write_if_there("memory.swap.max", "0");
}

std::uint64_t OomTrap::kills() const {
  auto file = version_ == os::CgroupVersion::v1 ? "/memory.oom_control" : "/memory.events";
  return os::cgroup_value(os::read_file(group_ + file), "oom_kill").value_or(0);
}

SlowExits::SlowExits(const os::ProcessRef &victim, const std::vector<const os::ProcessRef *> &survivors,
                     Deadline deadline)
    : victim_(victim.pid()), survivors_(survivors) {
  os::seize(victim_);
  for (const auto *survivor : survivors_) {
    survivor->send(SIGSTOP);
    Backoff backoff;
    for (auto stat = os::read_stat(survivor->pid()); stat && stat->state != 'T' && !deadline.passed();
         stat = os::read_stat(survivor->pid()))
      os::wait_for_any_exit({survivor->pidfd()}, backoff.next());
  }
}

bool SlowExits::still_held() const {
  for (const auto *survivor : survivors_) {
    auto stat = os::read_stat(survivor->pid());
    if (!stat || stat->state == 'T')
      continue;
    // Not stopped any more: right only if the pool killed it, as SIGKILL ends stopped processes too.
    os::wait_for_any_exit({survivor->pidfd()}, std::chrono::seconds(5));
    if (!survivor->has_exited())
      return false;
  }
  return true;
}

SlowExits::~SlowExits() {
  for (const auto *survivor : survivors_)
    try {
      survivor->send(SIGCONT);
    } catch (const os::SyscallError &) { // gone, or not ours to signal any more
    }
  // A tracer's wait takes note of the exit and hands the zombie back to its parent, ptrace(2).
  ::waitpid(victim_, nullptr, __WALL | WNOHANG);
}

} // namespace pidleak::replay

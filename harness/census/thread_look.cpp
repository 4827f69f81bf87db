#include "harness/census/thread_look.hpp"

#include "harness/census/waits.hpp"

#include <fmt/format.h>

namespace pidleak::census {

namespace {

/// Nothing if it has gone, is a dead leader, or may not be looked at.
std::optional<ThreadLook> look_at_thread(pid_t pid, pid_t thread) {
  auto status = os::read_thread_status(pid, thread);
  bool is_asleep = status && status->state == 'S';
  auto stat = is_asleep ? std::nullopt : os::read_thread_stat(pid, thread); // for the CPU time of what runs
  if (!is_asleep && (!stat || stat->state == 'Z'))
    return {};
  auto call = os::read_syscall(pid, thread);
  ThreadLook look{.pid = pid,
                  .thread = thread,
                  .state = stat ? stat->state : 'S',
                  .switches = 0,
                  .waits = 0,
                  .has_call = call.has_value(),
                  .call = call.value_or(os::ProcSyscall{}),
                  .deliverable = ~0ULL,
                  .cpu_ticks = stat ? stat->cpu_ticks : 0};
  if (status) {
    look.switches = status->voluntary_switches + status->involuntary_switches;
    look.waits = status->voluntary_switches;
    auto pending = status->thread_pending.bits() | status->shared_pending.bits();
    look.deliverable = pending & ~status->blocked.bits() & ~status->ignored.bits();
  }
  return look;
}

} // namespace

Looks look_at(pid_t pid) {
  Looks looks;
  for (pid_t thread : os::read_threads(pid))
    if (auto look = look_at_thread(pid, thread))
      looks.push_back(*look);
  return looks;
}

Looks look_at(const std::vector<Member> &members) {
  Looks all;
  for (const auto &member : members)
    if (member.state != ProcessState::zombie)
      for (auto &look : look_at(member.pid))
        all.push_back(look);
  return all;
}

std::string why_moving(const ThreadLook &look) {
  if (look.state == 'T')
    return "";
  if (look.state != 'S')
    return fmt::format("state {}", look.state);
  if (look.deliverable != 0)
    return "a signal is about to be delivered";
  if (!look.has_call)
    return "its system call may not be read";
  auto wait = wait_of(look.call);
  if (wait < Wait::with_timer)
    return "";
  return fmt::format("waits in {}, which may end by itself",
                     look.call.number < 0 ? "no system call" : os::syscall_name(look.call.number));
}

bool still_moves(const Mover &mover) {
  auto look = look_at_thread(mover.pid, mover.thread);
  return look && !why_moving(*look).empty();
}

} // namespace pidleak::census

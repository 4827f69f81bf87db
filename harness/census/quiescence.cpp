#include "harness/census/quiescence.hpp"

#include "harness/census/elsewhere.hpp"
#include "harness/census/holdings.hpp"
#include "harness/census/thread_look.hpp"
#include "harness/census/waits.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <variant>

namespace pidleak::census {
namespace {

/// What waits are judged by.
struct Evidence {
  const std::vector<Member> &members;
  const Boundary &boundary;
  const Holdings &holdings;
  std::set<Awaited> awaited = {}; // what they wait for, filled by the judging
};

/// A tracer waits for those that it traces as well, and these may be anywhere.
std::string why_not_alone_child(const ThreadLook &look, const Evidence &evidence) {
  auto wanted = child_of(look.call);
  bool is_there = std::any_of(evidence.members.begin(), evidence.members.end(), [&](const Member &member) {
    return member.parent == look.pid && (!wanted || *wanted == member.pid);
  });
  return is_there ? "" : "waits for a process that is no child of it, and may be outside";
}

/// A thread may have descriptors of its own (unshare(2) with CLONE_FILES): the same number must mean the same file.
bool is_same_file(const ThreadLook &look, const os::ProcFd &fd) {
  if (look.thread == look.pid)
    return true;
  std::array<char, 4096> target{};
  auto path = fmt::format("/proc/{}/task/{}/fd/{}", look.pid, look.thread, fd.number);
  auto size = ::readlink(path.c_str(), target.data(), target.size());
  return size > 0 && fd.target == std::string_view(target.data(), static_cast<std::size_t>(size));
}

/// Empty, or why what is behind this descriptor may help the thread on.
std::string why_not_alone_behind(const ThreadLook &look, const os::ProcFd &fd, Evidence &evidence) {
  if (!is_same_file(look, fd))
    return "a descriptor of its thread alone";
  auto why = evidence.holdings.why_not_alone(look.pid, fd);
  if (why.empty())
    for (auto &awaited : evidence.holdings.awaited(look.pid, fd))
      evidence.awaited.insert(std::move(awaited));
  return why;
}

std::string why_not_alone_poll(const ThreadLook &look, Evidence &evidence) {
  const auto *fds = evidence.holdings.of(look.pid);
  auto polled = fds ? polled_descriptors(look.pid, look.call, *fds) : std::nullopt;
  if (!polled)
    return "which descriptors it waits for can't be told";
  for (int number : *polled) {
    const auto *fd = evidence.holdings.find(look.pid, number);
    auto why = fd ? why_not_alone_behind(look, *fd, evidence) : "a descriptor that it has closed";
    if (!why.empty())
      return "may wait for " + why;
  }
  return "";
}

/// Empty, or who could help this thread on, which does not move by itself.
std::string why_not_alone(const ThreadLook &look, Evidence &evidence) {
  if (look.state == 'T')
    return "";
  switch (wait_of(look.call)) {
  case Wait::for_lock: {
    auto lock = lock_of(look.pid, look.call, evidence.boundary);
    if (!lock || !lock->is_inside)
      return "waits for a lock that is shared outside the replay";
    if (!lock->memory.empty())
      evidence.awaited.insert({.identity = lock->memory});
    return "";
  }
  case Wait::to_read:
  case Wait::to_write: {
    const auto *fd = evidence.holdings.find(look.pid, static_cast<int>(look.call.arguments[0]));
    auto why = !fd                                     ? "a descriptor that is not to be seen"
               : Holdings::never_blocks(look.pid, *fd) ? "what its descriptor stood for before"
                                                       : why_not_alone_behind(look, *fd, evidence);
    return why.empty() ? "" : "waits for " + why;
  }
  case Wait::for_any_of:
    return why_not_alone_poll(look, evidence);
  case Wait::for_child:
    return why_not_alone_child(look, evidence);
  case Wait::for_signal:
  case Wait::with_timer:
  case Wait::for_file_lock:
  case Wait::to_open:
  case Wait::unknown_call:
    break;
  }
  return "";
}

/// What the process as a whole may be woken by.
std::string why_woken(pid_t pid, const Holdings &holdings) {
  const auto *fds = holdings.of(pid);
  if (!fds)
    return "its descriptors may not be read";
  for (const auto &fd : *fds)
    if (fd.target == "anon_inode:[timerfd]" || fd.target == "anon_inode:[io_uring]")
      return "holds " + fd.target;
  if (!os::has_own_abi(pid))
    return "its program may not be read, or has another word size: its system calls have other numbers";
  try {
    if (!os::read_file(fmt::format("/proc/{}/timers", pid)).empty()) // CONFIG_CHECKPOINT_RESTORE
      return "has a POSIX timer";
  } catch (const os::SyscallError &e) {
    return "its timers may not be read";
  }
  return holdings.why_signals(pid);
}

/// The first reason why these, none of whose threads moves by itself, are not stuck.
Rest judge_stuck(const std::vector<Member> &members, const Scope &scope, const Looks &looks, const Boundary &boundary) {
  Holdings holdings(members, boundary);
  Evidence evidence{.members = members, .boundary = boundary, .holdings = holdings};
  for (const auto &look : looks)
    if (auto why = why_not_alone(look, evidence); !why.empty())
      return {.why_not = fmt::format("pid {}: thread {}: {}", look.pid, look.thread, why)};
  for (const auto &member : members)
    if (member.state != ProcessState::zombie && member.state != ProcessState::stopped)
      if (auto why = why_woken(member.pid, holdings); !why.empty())
        return {.why_not = fmt::format("pid {}: {}", member.pid, why)};
  auto elsewhere = look_elsewhere(members, holdings, scope, evidence.awaited);
  return {.certain = elsewhere.why.empty(), .why_not = elsewhere.why, .held_outside = elsewhere.identity};
}

/// The looks at all, or the first reason why there can be no rest, and whose it is. Most often one process sleeps or
/// runs, and to find that among a thousand must not cost a look at all of them, nor at all that they hold.
std::variant<Looks, Rest> first_looks(const std::vector<Member> &members) {
  Looks all;
  for (const auto &member : members) {
    if (member.state == ProcessState::zombie)
      continue;
    auto looks = look_at(member.pid);
    if (looks.empty())
      return Rest{.why_not = fmt::format("pid {}: its threads may not be read", member.pid)};
    for (auto &look : looks) {
      if (auto why = why_moving(look); !why.empty())
        return Rest{.why_not = fmt::format("pid {}: thread {}: {}", look.pid, look.thread, why),
                    .mover = Mover{.pid = look.pid, .thread = look.thread, .runs = look.state == 'R'}};
      all.push_back(look);
    }
  }
  return all;
}

/// alarm(2) and setitimer(2) show in no file of the process: they are told where the processes were started under a
/// watch, and root sees all of the machine's in /proc/timer_list.
std::string why_alarms_are_possible(const Boundary &boundary) {
  if (boundary.alarms && !boundary.alarms->has_seen_one())
    return "";
  auto alarms = os::read_alarms();
  if (alarms == os::Alarms::none)
    return "";
  if (boundary.alarms)
    return "one of these processes has set an alarm";
  if (alarms == os::Alarms::some)
    return "some process of this machine has set an alarm, which may be one of these";
  return "alarms can't be seen (/proc/timer_list is for root, masked, or without symbols)";
}

/// The same processes in the same states: one that has become a zombie since is another thing to judge.
bool same_states(const std::vector<Member> &a, const std::vector<Member> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Member &x, const Member &y) { return x == y && x.state == y.state; });
}

constexpr const char *ran_between = "a thread ran between two samples";

/// Whether these are as they were when they looked like `first`: then nothing has run since.
bool are_as_before(const std::vector<Member> &members, const Scope &scope, const Looks &first) {
  return look_at(members) == first && same_states(walk_once(scope), members);
}

} // namespace

Rest stand_still(const std::vector<Member> &members, const Scope &scope) {
  auto looked = first_looks(members);
  if (auto *rest = std::get_if<Rest>(&looked))
    return std::move(*rest);
  bool certain = are_as_before(members, scope, std::get<Looks>(looked));
  return {.certain = certain, .why_not = certain ? "" : ran_between};
}

Rest at_rest(const std::vector<Member> &members, const Scope &scope, const Boundary &boundary) {
  auto no = [](std::string why) { return Rest{.certain = false, .why_not = std::move(why)}; };
  auto looked = first_looks(members);
  if (auto *rest = std::get_if<Rest>(&looked))
    return std::move(*rest);
  const auto &first = std::get<Looks>(looked);
  if (auto rest = judge_stuck(members, scope, first, boundary); !rest.certain)
    return rest;
  // More than once: the kernel lists timers one by one, and one that ends meanwhile can hide another. One reading
  // missed an alarm in 14 of 300 replays beside 40 threads that slept for 60 us each, two in none of 300. And a timer
  // that has left the list may not yet have sent its signal.
  for (int reading = 0; reading < 3; ++reading) {
    if (auto why = why_alarms_are_possible(boundary); !why.empty())
      return no(std::move(why));
    if (!are_as_before(members, scope, first))
      return no(ran_between);
  }
  return {.certain = true, .why_not = ""};
}

} // namespace pidleak::census

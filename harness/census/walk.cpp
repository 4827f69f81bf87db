#include "harness/census/walk.hpp"

#include "harness/os/procfs.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace pidleak::census {
namespace {

ProcessState state_of(char letter) {
  switch (letter) {
  case 'S':
  case 'I':
    return ProcessState::sleeping;
  case 'D':
    return ProcessState::uninterruptible;
  case 'T':
  case 't':
    return ProcessState::stopped;
  case 'Z':
  case 'X':
    return ProcessState::zombie;
  default:
    return ProcessState::running;
  }
}

/// Z in /proc/PID/stat can be a live process whose leader thread has exited: the others tell.
ProcessState state_of(pid_t pid, const os::ProcStat &stat) {
  auto state = state_of(stat.state);
  if (state != ProcessState::zombie || stat.threads <= 1)
    return state;
  for (pid_t thread : os::read_threads(pid))
    if (auto of_thread = os::read_thread_stat(pid, thread))
      if (auto alive = state_of(of_thread->state); alive != ProcessState::zombie)
        return alive;
  return state;
}

} // namespace

// One that dies during the second pass leaves its children to the
// root, whose list has been read by then: both passes find it alone, and miss a child made in between.
bool agree(const std::vector<Member> &a, const std::vector<Member> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Member &x, const Member &y) {
    return x == y && (x.state == ProcessState::zombie) == (y.state == ProcessState::zombie);
  });
}

std::vector<Member> walk_once(const Scope &scope) {
  std::vector<Member> members;
  std::set<std::pair<pid_t, std::uint64_t>> met;
  auto children = os::read_children(scope.root);
  while (!children.empty()) {
    pid_t pid = children.back();
    children.pop_back();
    auto stat = os::read_stat(pid);
    if (!stat) // reaped meanwhile
      continue;
    if (!met.emplace(pid, stat->start_ticks).second)
      continue; // reparented while we walked, and met twice
    members.push_back(
        {.pid = pid, .parent = stat->parent, .start_ticks = stat->start_ticks, .state = state_of(pid, *stat)});
    if (scope.direct_children_only)
      continue;
    // Most have one thread, and need not be asked who their threads are. One that has started since is like one that
    // starts after the list was read.
    auto below = stat->threads == 1 ? os::read_children(pid, pid) : os::read_children(pid);
    children.insert(children.end(), below.begin(), below.end());
  }
  std::sort(members.begin(), members.end(), [](const Member &a, const Member &b) { return a.pid < b.pid; });
  return members;
}

Walk walk(const Scope &scope, Deadline deadline) {
  Walk result{.members = walk_once(scope), .complete = false};
  do {
    auto again = walk_once(scope);
    result.complete = agree(again, result.members);
    result.members = std::move(again);
  } while (!result.complete && !deadline.passed());
  return result;
}

} // namespace pidleak::census

#include "harness/census/walk.hpp"

#include "harness/os/procfs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>

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

/// Calls `look` once for each of the pids and every one below; what it says is whether to go on below that.
template <class Look>
void descend(std::vector<pid_t> pids, Look look) {
  std::set<pid_t> met; // one that is reparented while we walk may be listed twice
  while (!pids.empty()) {
    pid_t pid = pids.back();
    pids.pop_back();
    if (!met.insert(pid).second)
      continue;
    // Its children first: if it is alive afterwards, these were all. Death gives them to another, whose list may have
    // been read before.
    auto children = os::read_children(pid);
    if (look(pid))
      pids.insert(pids.end(), children.begin(), children.end());
  }
}

} // namespace

std::optional<Member> read_member(pid_t pid) {
  auto stat = os::read_stat(pid);
  if (!stat)
    return {};
  return Member{.pid = pid,
                .parent = stat->parent,
                .start_ticks = stat->start_ticks,
                .state = state_of(pid, *stat),
                .comm = stat->comm};
}

namespace {

struct Pass {
  std::vector<Member> members;
  std::vector<pid_t> hidden; // or gone meanwhile
};

Pass walk_down(std::vector<pid_t> pids) {
  Pass pass;
  descend(std::move(pids), [&](pid_t pid) {
    auto member = read_member(pid);
    if (member)
      pass.members.push_back(std::move(*member));
    else
      pass.hidden.push_back(pid);
    return member.has_value();
  });
  std::sort(pass.members.begin(), pass.members.end(), [](const Member &a, const Member &b) { return a.pid < b.pid; });
  return pass;
}

std::vector<pid_t> first_generation(const Scope &scope) {
  auto pids = os::read_children(scope.root);
  for (pid_t pid : scope.except)
    std::erase(pids, pid);
  return pids;
}

/// See Scope::proc_lists_all.
Pass list_namespace(const Scope &scope) {
  Pass pass;
  std::map<pid_t, Member> all;
  for (pid_t pid : os::read_pids())
    if (pid == scope.root)
      continue;
    else if (auto member = read_member(pid))
      all.emplace(pid, std::move(*member));
    else
      pass.hidden.push_back(pid);
  auto is_below = [&](const Member &member) {
    const auto *at = &member;
    for (std::size_t steps = 0; steps < all.size(); ++steps) { // a pid that was given again could make it a ring
      if (at->parent == 0 || std::find(scope.except.begin(), scope.except.end(), at->pid) != scope.except.end())
        return false;
      auto parent = all.find(at->parent); // or the init, or one that has died since and left it to the init
      if (parent == all.end())
        return true;
      at = &parent->second;
    }
    return true;
  };
  for (const auto &[pid, member] : all)
    if (is_below(member))
      pass.members.push_back(member);
  return pass;
}

Pass pass_of(const Scope &scope) {
  return scope.proc_lists_all ? list_namespace(scope) : walk_down(first_generation(scope));
}

/// getpgid(2) asks for no permission, whatever /proc hides.
bool is_there(pid_t pid) { return ::getpgid(pid) >= 0 || errno != ESRCH; }

void keep_those_that_are_there(std::vector<pid_t> &pids) {
  std::erase_if(pids, [](pid_t pid) { return !is_there(pid); });
}

/// Whether all of them live: then none was dead before, and none has left its children to another meanwhile.
bool are_alive(const Pass &pass) {
  return pass.hidden.empty() && std::none_of(pass.members.begin(), pass.members.end(),
                                             [](const Member &member) { return member.state == ProcessState::zombie; });
}

} // namespace

// One that dies during the second pass leaves its children to the root, whose list has been read by then: both passes
// find it alone, and miss a child made in between.
bool agree(const std::vector<Member> &a, const std::vector<Member> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Member &x, const Member &y) {
    return x == y && (x.state == ProcessState::zombie) == (y.state == ProcessState::zombie);
  });
}

std::vector<Member> walk_once(const Scope &scope, std::vector<pid_t> *hidden) {
  auto pass = pass_of(scope);
  if (hidden) {
    keep_those_that_are_there(pass.hidden);
    *hidden = std::move(pass.hidden);
  }
  return std::move(pass.members);
}

std::vector<Member> walk_from(const std::vector<Member> &roots) {
  std::vector<pid_t> pids;
  for (const auto &root : roots)
    if (auto member = read_member(root.pid); member && *member == root)
      pids.push_back(root.pid);
  return walk_down(std::move(pids)).members;
}

Walk walk(const Scope &scope, Deadline deadline) {
  auto newest = os::newest_pid();
  auto last = pass_of(scope);
  if (newest && are_alive(last) && os::newest_pid() == newest)
    return {.members = std::move(last.members), .complete = true};
  Walk result;
  do {
    auto next = pass_of(scope);
    result.complete = agree(next.members, last.members) && next.hidden == last.hidden;
    last = std::move(next);
  } while (!result.complete && !deadline.passed());
  result.members = std::move(last.members);
  keep_those_that_are_there(last.hidden);
  result.hidden = std::move(last.hidden);
  result.complete = result.complete && result.hidden.empty();
  return result;
}

} // namespace pidleak::census

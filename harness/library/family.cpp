#include "harness/library/family.hpp"

#include "harness/os/procfs.hpp"

#include <unistd.h>

#include <map>

namespace pidleak::library {

Thread this_thread() {
  pid_t id = ::gettid();
  auto stat = os::read_thread_stat(::getpid(), id);
  return {.id = id, .start_ticks = stat ? stat->start_ticks : 0};
}

bool is_same(const os::ProcessRef &held, const census::Member &member) {
  return held.pid() == member.pid && held.start_ticks() == member.start_ticks && held.send(0);
}

namespace {

/// For each child the thread whose fork it is; id 0 where that is not certain.
std::map<pid_t, Thread> read_forks(const std::vector<pid_t> &threads) {
  std::map<pid_t, Thread> forks;
  pid_t self = ::getpid();
  auto leader = os::read_thread_stat(self, self);
  bool leader_adopts = leader && leader->state != 'Z'; // else some other thread does
  for (pid_t id : threads) {
    auto stat = os::read_thread_stat(self, id);
    bool certain = leader_adopts && id != self && stat;
    for (pid_t child : os::read_children(self, id))
      forks[child] = certain ? Thread{.id = id, .start_ticks = stat->start_ticks} : Thread{};
  }
  return forks;
}

} // namespace

Family read_family() {
  Family family;
  family.members = census::walk_once({.root = ::getpid()}, &family.hidden);
  auto threads = os::read_threads(::getpid());
  family.threads = threads.size();
  if (family.members.empty())
    return family;
  auto forks = read_forks(threads);
  std::map<pid_t, const census::Member *> by_pid;
  for (const auto &member : family.members)
    by_pid[member.pid] = &member;
  for (const auto &member : family.members) {
    Descendant descendant;
    // Not longer than the list, whatever was read while a process was reparented.
    for (auto at = by_pid.find(member.pid); at != by_pid.end() && descendant.line.size() < by_pid.size();
         at = by_pid.find(at->second->parent))
      descendant.line.push_back(*at->second);
    auto fork = forks.find(descendant.line.back().pid);
    family.consistent = family.consistent && fork != forks.end();
    if (fork != forks.end())
      descendant.forked_by = fork->second;
    family.descendants.push_back(std::move(descendant));
  }
  return family;
}

} // namespace pidleak::library

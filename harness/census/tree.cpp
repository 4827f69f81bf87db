#include "harness/census/tree.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::census {

Tree::Tree(TreeOptions options) : options_(std::move(options)), session_(::getsid(options_.subject)) {}

std::optional<pid_t> Tree::first_stranger(const std::vector<pid_t> &pids) const {
  auto members = walk_once(options_.scope);
  auto stranger = std::find_if(pids.begin(), pids.end(), [&](pid_t pid) {
    return std::none_of(members.begin(), members.end(), [&](const auto &member) { return member.pid == pid; });
  });
  return stranger == pids.end() ? std::nullopt : std::optional(*stranger);
}

bool Tree::at_rest() const { return !still_moves() && is_certain(rest_of(walk_once(options_.scope))); }

bool Tree::at_rest_or_spins(Spinning &spinning) const {
  return holds_or_spins([this](const auto &members) { return rest_of(members); }, spinning);
}

bool Tree::stands_still_or_spins(Spinning &spinning) const {
  return holds_or_spins([this](const auto &members) { return stand_still(members, options_.scope); }, spinning);
}

bool Tree::holds_or_spins(const std::function<Rest(const std::vector<Member> &)> &rest, Spinning &spinning) const {
  bool moves = still_moves();
  if (moves && !spinning.is_due())
    return false;
  auto members = walk_once(options_.scope);
  return (!moves && is_certain(rest(members))) || spinning.look(members);
}

Rest Tree::rest_of(const std::vector<Member> &members) const {
  return census::at_rest(members, options_.scope, options_.boundary);
}

bool Tree::is_certain(const Rest &rest) const {
  mover_ = rest.mover;
  return rest.certain;
}

namespace {

constexpr milliseconds walk_bound{50}; // what has exited meanwhile is not reaped, and the next walk is the longer

} // namespace

Sight Tree::see(const std::function<bool(pid_t)> &may_stay) const {
  bool reaps = options_.scope.root == ::getpid();
  if (reaps)
    os::reap_exited_children(options_.reaped);
  Sight sight{.walk = walk(options_.scope, Deadline::after(walk_bound))};
  for (const auto &member : sight.walk.members) {
    // An orphan that has exited since waits for the root alone: that is no zombie of the pool's.
    if (member.state == ProcessState::zombie && member.parent == options_.scope.root)
      sight.again = std::chrono::microseconds(reaps ? 0 : 100);
    if (!may_stay(member.pid))
      sight.to_leave.push_back(member);
  }
  return sight;
}

Rest Tree::rest(const Walk &walk) {
  auto rest = rest_of(walk.members);
  if (!rest.held_outside.empty())
    options_.boundary.outside.insert(rest.held_outside);
  return rest;
}

std::optional<std::vector<pid_t>> Tree::cgroup_members() const {
  if (options_.cgroups.empty())
    return {};
  std::vector<pid_t> members;
  for (const auto &group : options_.cgroups)
    try {
      for (pid_t pid : os::parse_pid_list(os::read_file(group + "/cgroup.procs")))
        members.push_back(pid);
    } catch (const os::SyscallError &e) {
      if (e.error() != ENOENT && e.error() != EOPNOTSUPP) // the other cgroup version has no such group
        throw;
    }
  return members;
}

std::optional<bool> Tree::agrees_with_cgroup(const Walk &walk) const {
  auto listed = cgroup_members();
  if (!listed)
    return {};
  auto seen = walk.members;
  for (pid_t pid : options_.scope.except)
    if (auto left_out = read_member(pid))
      for (auto &member : walk_from({*left_out}))
        seen.push_back(std::move(member));
  return std::all_of(listed->begin(), listed->end(), [&](pid_t pid) {
    return pid == options_.scope.root ||
           std::any_of(seen.begin(), seen.end(), [&](const auto &member) { return member.pid == pid; });
  });
}

Surroundings Tree::surroundings() const {
  pid_t session = ::getsid(options_.subject); // it may have made one of its own since its start
  return {.harness = options_.scope.root,
          .subject = options_.subject,
          .session = session > 0 ? session : session_,
          .share_outputs = true,
          .boundary = &options_.boundary};
}

std::optional<RemainingProcess> Tree::examine(const Member &member, const Surroundings &around) const {
  auto process = census::examine(member, around);
  if (!process)
    return {};
  if (options_.outer_proc < 0)
    process->outside_pid = process->pid;
  else if (auto held = os::ProcessRef::open(process->pid))
    process->outside_pid = pid_seen_from(options_.outer_proc, held->pidfd());
  return process;
}

std::vector<RemainingProcess> Tree::examine(const Walk &walk, const std::map<pid_t, std::string> &helpers) const {
  auto around = surroundings();
  around.helpers = helpers;
  around.cgroup_members = cgroup_members();
  std::vector<RemainingProcess> remaining;
  for (const auto &member : walk.members)
    if (member.pid != options_.subject)
      if (auto process = examine(member, around))
        remaining.push_back(std::move(*process));
  measure_polling(remaining);
  return remaining;
}

std::optional<RemainingProcess> Tree::examine_subject(const Walk &walk) const {
  for (const auto &member : walk.members)
    if (member.pid == options_.subject && member.state != ProcessState::zombie)
      return examine(member, surroundings());
  return {};
}

} // namespace pidleak::census

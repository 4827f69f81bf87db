#include "harness/replay/tree.hpp"

#include "harness/census/leaving.hpp"
#include "harness/census/quiescence.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::replay {

using reports::SettledBy;

Tree::Tree(const Inside &inside, pid_t subject, bool direct_children_only)
    : inside_(inside), subject_(subject),
      session_(::getsid(subject)), scope_{.root = direct_children_only ? subject : ::getpid(),
                                          .direct_children_only = direct_children_only} {}

std::optional<pid_t> Tree::first_stranger(const std::vector<pid_t> &pids) const {
  auto members = census::walk_once(scope_);
  auto stranger = std::find_if(pids.begin(), pids.end(), [&](pid_t pid) {
    return std::none_of(members.begin(), members.end(), [&](const auto &member) { return member.pid == pid; });
  });
  return stranger == pids.end() ? std::nullopt : std::optional(*stranger);
}

bool Tree::at_rest() const { return census::at_rest(census::walk_once(scope_), scope_, inside_.scratch).certain; }

namespace {

constexpr milliseconds walk_bound{50}; // what has exited meanwhile is not reaped, and the next walk is the longer

bool is_own_zombie(const census::Member &member) {
  return member.state == census::ProcessState::zombie && member.parent == ::getpid();
}

} // namespace

Settled Tree::settle(const Hear &hear, const std::function<bool()> &done, const std::function<bool(pid_t)> &may_stay,
                     const std::function<bool()> &is_over) const {
  Backoff backoff(std::chrono::microseconds(500));
  for (;;) {
    while (hear(std::chrono::microseconds(0), {})) {
    }
    os::reap_exited_children();
    Settled settled{.walk = census::walk(scope_, Deadline::after(walk_bound))};
    const auto &members = settled.walk.members;
    // An orphan that has exited since waits for this process alone: that is no zombie of the pool's.
    if (std::any_of(members.begin(), members.end(), is_own_zombie) && !is_over())
      continue;
    if (done() && std::all_of(members.begin(), members.end(), [&](const auto &m) { return may_stay(m.pid); })) {
      settled.by = SettledBy::all_gone;
      return settled;
    }
    auto rest = census::at_rest(members, scope_, inside_.scratch);
    if (hear(std::chrono::microseconds(0), {})) // said before it came to rest: it may have been the last thing missing
      continue;
    if (settled.walk.complete && rest.certain && !scope_.direct_children_only) {
      settled.by = SettledBy::quiescence;
      return settled;
    }
    if (is_over()) {
      settled.why_not_quiescent = rest.certain ? "the census does not see everything" : rest.why_not;
      return settled;
    }
    hear(backoff.next(), census::Leaving(members).exits());
  }
}

std::optional<std::vector<pid_t>> Tree::cgroup_members() const {
  if (inside_.census_cgroup.empty())
    return {};
  std::vector<pid_t> members;
  for (const char *group : {"", "/rest", "/victim"})
    try {
      for (pid_t pid : os::parse_pid_list(os::read_file(inside_.census_cgroup + group + "/cgroup.procs")))
        members.push_back(pid);
    } catch (const os::SyscallError &e) {
      if (e.error() != ENOENT && e.error() != EOPNOTSUPP) // the other cgroup version has no such group
        throw;
    }
  return members;
}

std::optional<bool> Tree::agrees_with_cgroup(const census::Walk &walk) const {
  auto listed = cgroup_members();
  if (!listed)
    return {};
  return std::all_of(listed->begin(), listed->end(), [&](pid_t pid) {
    return pid == ::getpid() ||
           std::any_of(walk.members.begin(), walk.members.end(), [&](const auto &member) { return member.pid == pid; });
  });
}

std::optional<census::RemainingProcess> Tree::examine(const census::Member &member,
                                                      const census::Surroundings &around) const {
  auto process = census::examine(member, around);
  if (!process)
    return {};
  if (auto held = os::ProcessRef::open(process->pid))
    process->outside_pid = inside_.outer_proc >= 0 ? census::pid_seen_from(inside_.outer_proc, held->pidfd())
                                                   : std::optional(process->pid);
  return process;
}

std::vector<census::RemainingProcess> Tree::examine(const census::Walk &walk,
                                                    const std::map<pid_t, std::string> &helpers) const {
  pid_t session = ::getsid(subject_); // it may have made one of its own since its start
  census::Surroundings around{.harness = ::getpid(),
                              .subject = subject_,
                              .session = session > 0 ? session : session_,
                              .helpers = helpers,
                              .cgroup_members = cgroup_members()};
  std::vector<census::RemainingProcess> remaining;
  for (const auto &member : walk.members)
    if (member.pid != subject_)
      if (auto process = examine(member, around))
        remaining.push_back(std::move(*process));
  return remaining;
}

std::optional<census::RemainingProcess> Tree::examine_subject(const census::Walk &walk) const {
  for (const auto &member : walk.members)
    if (member.pid == subject_ && member.state != census::ProcessState::zombie)
      return examine(member, {.harness = ::getpid(), .subject = subject_, .session = ::getsid(subject_)});
  return {};
}

} // namespace pidleak::replay

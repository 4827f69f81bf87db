#include "harness/library/suspects.hpp"

#include "harness/library/fork_log.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::library {

using census::Member;
using census::ProcessState;

namespace {

constexpr std::size_t most_held = 256; // descriptors are few
constexpr int most_tries = 10;
constexpr milliseconds baseline_bound{200};

} // namespace

void reap_if_child(const os::ProcessRef &process) {
  try {
    os::try_reap(process);
  } catch (const os::SyscallError &e) {
    if (e.error() != ECHILD)
      throw;
  }
}

std::vector<Member> Look::members() const {
  std::vector<Member> members;
  for (const auto &suspect : suspects)
    members.push_back(suspect.who.process());
  return members;
}

Suspects::Suspects(Entry *mine, bool strict, const std::vector<Helper> &helpers)
    : mine_(mine), strict_(strict), helpers_(helpers), session_(::getsid(0)) {
  for (const auto &member : census::walk({.root = ::getpid()}, Deadline::after(baseline_bound)).members)
    if (member.start_ticks >= mine->begin)
      if (auto held = os::ProcessRef::open(member.pid))
        of_that_tick_.push_back(std::move(*held));
}

Look Suspects::look() {
  auto last = look_once();
  for (int tries = 0; tries < most_tries && !last.complete; ++tries) {
    auto next = look_once();
    next.complete = next.family.consistent && !next.reaped && next.family.hidden.empty() &&
                    census::agree(last.members(), next.members());
    last = std::move(next);
  }
  return last;
}

Look Suspects::look_once() {
  Look look;
  look.family = read_family();
  bool reaps = Registry::of_this_process().adopts_for_guards_alone();
  for (const auto &descendant : look.family.descendants) {
    const auto &process = descendant.process();
    if (is_from_before(descendant))
      continue;
    Suspect suspect{.who = descendant, .claim = Registry::of_this_process().claim(mine_, descendant)};
    if (suspect.claim.anothers)
      continue;
    if (process.parent == ::getpid() && descendant.forked_by.id == 0)
      if (auto held = os::ProcessRef::open(process.pid); held && is_same(*held, process)) {
        suspect.origin = origin_of(process);
        if (suspect.origin == Origin::adopted && process.state == ProcessState::zombie && held->send(0)) {
          if (reaps)
            reap_if_child(*held);
          look.reaped = look.reaped || reaps;
          continue;
        }
      }
    look.suspects.push_back(std::move(suspect));
  }
  keep_those_elsewhere(look);
  return look;
}

bool Suspects::was_there_before(const Member &process) const {
  return process.start_ticks < mine_->begin ||
         std::any_of(of_that_tick_.begin(), of_that_tick_.end(),
                     [&](const os::ProcessRef &held) { return is_same(held, process); });
}

// It, or what it is below. But a fork server forks for others.
bool Suspects::is_from_before(const Descendant &descendant) const {
  return std::any_of(descendant.line.begin(), descendant.line.end(), [&](const Member &member) {
    return was_there_before(member) && (member == descendant.process() || role_of(member.pid, helpers_).empty());
  });
}

// A fork of this process has its session, or later one of its own. What clone(2) makes with CLONE_PARENT in a child
// that has left the session looks like an orphan.
Origin Suspects::origin_of(const Member &process) const {
  if (auto seen = elsewhere_.find(process.pid); seen != elsewhere_.end() && is_same(seen->second, process))
    return Origin::adopted;
  if (auto parent = noted_parent_of(process))
    return *parent == ::getpid() ? Origin::own : Origin::adopted;
  auto stat = os::read_stat(process.pid);
  if (stat && stat->session != process.pid && stat->session != session_ && stat->session != ::getsid(0))
    return Origin::adopted;
  return !strict_ && (os::is_subreaper() || ::getpid() == 1) ? Origin::unknown : Origin::own;
}

void Suspects::keep_those_elsewhere(const Look &look) {
  std::erase_if(elsewhere_, [](const auto &seen) { return !seen.second.send(0); });
  for (const auto &suspect : look.suspects)
    if (const auto &process = suspect.who.process();
        process.parent != ::getpid() && !elsewhere_.contains(process.pid) && elsewhere_.size() < most_held)
      if (auto held = os::ProcessRef::open(process.pid); held && is_same(*held, process))
        elsewhere_.emplace(process.pid, std::move(*held));
}

} // namespace pidleak::library

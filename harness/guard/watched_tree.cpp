#include "harness/guard/watched_tree.hpp"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <set>

namespace pidleak::guard {
namespace {

constexpr int looks_between_walks = 128; // a walk costs as much as a hundred looks and more

/// As /proc/PID/stat counts them, less what an event may take to be told.
std::uint64_t ticks_before_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  static const auto a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  auto ticks = static_cast<std::uint64_t>(now.tv_sec) * a_second;
  return ticks < a_second ? 0 : ticks - a_second;
}

} // namespace

std::vector<census::Member> WatchedTree::look(const census::Genealogy &genealogy) {
  if (!events_tell_all_ || genealogy.state() != census::GenealogyState::complete)
    return census::walk_once(scope_);
  auto before = ticks_before_now();
  take_in(genealogy);
  if (--looks_until_walk_ > 0) {
    std::vector<census::Member> known;
    known.reserve(members_.size());
    for (const auto &[id, member] : members_)
      known.push_back(member);
    return known;
  }
  looks_until_walk_ = looks_between_walks;
  auto seen = census::walk_once(scope_);
  std::set<std::pair<pid_t, std::uint64_t>> known;
  for (const auto &[id, member] : members_)
    known.emplace(member.pid, member.start_ticks);
  events_tell_all_ = std::all_of(seen.begin(), seen.end(), [&](const census::Member &member) {
    return member.start_ticks > before || known.contains({member.pid, member.start_ticks});
  });
  return seen;
}

void WatchedTree::take_in(const census::Genealogy &genealogy) {
  auto newest = last_;
  std::unordered_map<Id, census::Member> members;
  for (const auto &told : genealogy.all()) {
    newest = std::max(newest, told.id);
    auto known = members_.find(told.id);
    if (known == members_.end() && told.id <= last_)
      continue; // it had gone before
    if (known != members_.end() && !told.has_ended) {
      if (!told.name.empty())
        known->second.comm = told.name;
      members.insert(members_.extract(known));
    } else if (auto now = census::read_member(told.pid);
               now && (known == members_.end() || known->second.start_ticks == now->start_ticks)) {
      members.emplace(told.id, std::move(*now));
    }
  }
  for (const auto &[id, member] : members_) // zombies for so long that the genealogy has forgotten them
    if (!members.contains(id))
      if (auto now = census::read_member(member.pid); now && now->start_ticks == member.start_ticks)
        members.emplace(id, std::move(*now));
  members_ = std::move(members);
  last_ = newest;
}

} // namespace pidleak::guard

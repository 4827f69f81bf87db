#include "harness/census/growth.hpp"

#include <algorithm>
#include <limits>

namespace pidleak::census {
namespace {

constexpr std::uint64_t quarter = Floors::kept / 4;

/// As far as a look tells.
RemainingProcess seen_as(const Member &member) {
  RemainingProcess process;
  process.pid = member.pid;
  process.parent = member.parent;
  process.start_ticks = member.start_ticks;
  process.state = member.state;
  process.kind = member.state == ProcessState::zombie    ? Kind::zombie
                 : member.state == ProcessState::stopped ? Kind::stopped
                                                         : Kind::live;
  process.comm = member.comm;
  return process;
}

} // namespace

std::string without_numbers(const std::string &comm) {
  std::string text;
  for (char c : comm)
    if (c < '0' || c > '9')
      text += c;
    else if (!text.ends_with('#'))
      text += '#';
  return text;
}

void Floors::add(std::uint64_t number, double value) {
  for (std::size_t level = 0;; ++level) {
    if (level == levels_.size())
      levels_.emplace_back();
    auto &points = levels_[level];
    points.push_back(value);
    if (points.size() > kept)
      points.pop_front();
    if ((number >> level & 1) == 0) // the first half of a block of the next level
      return;
    value = std::min(value, points.size() > 1 ? points[points.size() - 2] : 0);
  }
}

std::array<double, 4> Floors::quarters(std::size_t level) const {
  std::array<double, 4> least{};
  if (level >= levels_.size())
    return least;
  const auto &points = levels_[level];
  auto missing = kept - points.size();
  for (std::size_t i = 0; i < kept; ++i) {
    auto value = i < missing ? 0 : points[i - missing];
    auto &floor = least[i / quarter];
    floor = i % quarter == 0 ? value : std::min(floor, value);
  }
  return least;
}

double Floors::first(std::size_t level) const { return levels_.at(level).front(); }

void History::add(double at_ms, const std::vector<Member> &members) {
  auto root = std::find_if(members.begin(), members.end(), [this](const auto &member) { return member.pid == root_; });
  if (root == members.end()) // it has ended: growth has no owner
    return;
  if (looks_ == 0)
    started_ms_ = at_ms;
  now_ms_ = at_ms - started_ms_;
  Identity root_identity = {root->pid, root->start_ticks};
  take_in(members, root_identity);
  sort_into_groups(root_identity);
  times_.add(looks_, now_ms_);
  for (auto &[name, group] : groups_)
    group.counts.add(looks_, static_cast<double>(group.members.size()));
  ++looks_;
  for (auto &[name, group] : groups_)
    if (auto rise = rise_of(group); rise && !(group.rise && group.rise->holds_until > rise->holds_until))
      group.rise = rise;
    else if (group.rise && (looks_ >= group.rise->holds_until ||
                            static_cast<double>(group.members.size()) <= group.rise->from)) // or they have gone
      group.rise.reset();
}

/// A process's starter is its parent in the first sample that has the process. When that parent has ended, or was in no
/// sample, it is the parent's starter: a daemon that a service starts through a shell is the service's.
void History::take_in(const std::vector<Member> &members, Identity root) {
  std::map<pid_t, Identity> living;
  for (const auto &member : members)
    if (member.state != ProcessState::zombie)
      living.emplace(member.pid, Identity(member.pid, member.start_ticks));
  auto lives = [&](const Identity &process) {
    auto found = living.find(process.first);
    return found != living.end() && found->second == process;
  };
  std::map<Identity, Process> now;
  for (const auto &member : members) {
    Identity identity = {member.pid, member.start_ticks};
    auto known = processes_.find(identity);
    auto parent = living.find(member.parent);
    auto process =
        known != processes_.end()
            ? known->second
            : Process{.member = {}, .starter = parent != living.end() ? parent->second : root, .first = looks_};
    process.member = member;
    for (auto steps = processes_.size(); !lives(process.starter); --steps) {
      auto ended = processes_.find(process.starter);
      process.starter = ended == processes_.end() || steps == 0 ? root : ended->second.starter;
      if (process.starter == root)
        break;
    }
    now.emplace(identity, std::move(process));
  }
  processes_ = std::move(now);
}

void History::sort_into_groups(Identity root) {
  for (auto &[name, group] : groups_)
    group.members.clear();
  for (auto &[identity, process] : processes_) {
    if (identity == root)
      continue;
    Name name = {process.starter, without_numbers(process.member.comm)};
    auto [group, is_new] = groups_.try_emplace(name);
    if (is_new)
      group->second.since_ms = now_ms_;
    if (process.group != name)
      ++group->second.seen;
    process.group = name;
    group->second.members.push_back(&process);
  }
  // Nothing is lost with the past of a group that is empty now: no window can begin to rise before that.
  std::erase_if(groups_, [](const auto &entry) { return entry.second.members.empty(); });
}

std::optional<History::Rise> History::rise_of(const Group &group) const {
  std::optional<Rise> rise;
  auto count = static_cast<double>(group.members.size());
  for (std::size_t level = 0; looks_ >> level >= Floors::kept; ++level) { // the longest window comes last
    auto floors = group.counts.quarters(level);
    floors[3] = std::min(floors[3], count); // a long window's last point may be from before the last look
    if (!(floors[0] < floors[1] && floors[1] < floors[2] && floors[2] < floors[3]))
      continue;
    auto begin = ((looks_ >> level) - Floors::kept) << level;
    std::array<const Process *, 4> first_of_quarter{};
    for (const auto *process : group.members)
      if (process->first >= begin) {
        auto &first = first_of_quarter[std::min<std::uint64_t>((process->first - begin) / (quarter << level), 3)];
        if (!first || process->first < first->first)
          first = process;
      }
    if (first_of_quarter[0] && first_of_quarter[1] && first_of_quarter[2])
      rise = Rise{.from = floors[0],
                  .from_ms = times_.first(level),
                  .holds_until = looks_ + (Floors::kept << level),
                  .oldest = first_of_quarter[0]->member};
  }
  return rise;
}

int History::zombies_among(const std::vector<const Process *> &processes) {
  return static_cast<int>(std::count_if(processes.begin(), processes.end(), [](const auto *process) {
    return process->member.state == ProcessState::zombie;
  }));
}

GrowingGroup History::describe(const Name &name, const Group &group, const Rise &rise) const {
  GrowingGroup growing;
  growing.starter = name.first.first;
  growing.starter_ticks = name.first.second;
  growing.starter_comm = processes_.at(name.first).member.comm;
  growing.comm = rise.oldest.comm;
  growing.from = static_cast<int>(rise.from);
  growing.now = static_cast<int>(group.members.size());
  growing.zombies = zombies_among(group.members);
  growing.seen = group.seen;
  growing.ended = group.seen - growing.now;
  growing.since_ms = group.since_ms;
  growing.over_ms = now_ms_ - rise.from_ms;
  constexpr double hour_ms = 3600 * 1000;
  growing.per_hour = growing.over_ms > 0 ? (growing.now - growing.from) * hour_ms / growing.over_ms : 0;
  growing.oldest = seen_as(rise.oldest);
  return growing;
}

Growth History::growth() const {
  constexpr std::uint64_t most_told = std::numeric_limits<int>::max(); // 24 days of a look each millisecond
  Growth growth{.looks = static_cast<int>(std::min(looks_, most_told)), .watched_ms = now_ms_};
  for (const auto &[name, group] : groups_) {
    growth.processes += static_cast<int>(group.members.size());
    growth.zombies += zombies_among(group.members);
    if (group.rise)
      growth.groups.push_back(describe(name, group, *group.rise));
  }
  return growth;
}

} // namespace pidleak::census

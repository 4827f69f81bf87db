#include "harness/library/registry.hpp"

#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <algorithm>
#include <atomic>
#include <ctime>

namespace pidleak::library {

constexpr int most_remembered = 256; // guards of the past: a guard that is there for long may see any number

std::uint64_t now_ticks() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) / (1'000'000'000 / per_second);
}

void Entry::keep(const census::Member &process) {
  if (kept.size() == most_kept)
    std::erase_if(kept, [](const os::ProcessRef &held) { return !held.send(0); });
  if (kept.size() < most_kept)
    if (auto held = os::ProcessRef::open(process.pid); held && is_same(*held, process))
      kept.push_back(std::move(*held));
}

bool Entry::owns(const Descendant &descendant) {
  for (const auto &member : descendant.line)
    if (std::any_of(kept.begin(), kept.end(), [&](const auto &held) { return is_same(held, member); })) {
      if (!(member == descendant.process()))
        keep(descendant.process());
      return true;
    }
  return false;
}

Registry &Registry::of_this_process() {
  static std::atomic<Registry *> current = nullptr;
  auto *registry = current.load();
  while (!registry || registry->pid_ != ::getpid()) {
    auto *fresh = new Registry; // for ever: guards may be static, and outlive any other static
    fresh->copied_ = registry;
    if (current.compare_exchange_strong(registry, fresh))
      return *fresh;
    delete fresh;
  }
  return *registry;
}

Entry *Registry::enter(std::string name, bool adopts) {
  std::lock_guard lock(mutex_);
  if (adopts)
    begin_adopting_locked();
  entries_.push_back(
      {.name = std::move(name), .thread = this_thread(), .begin = now_ticks(), .unchecked = true, .adopts = adopts});
  return &entries_.back();
}

void Registry::leave(Entry *entry) noexcept {
  std::lock_guard lock(mutex_);
  entry->end = now_ticks();
  entry->unchecked = false;
  entry->kept.clear();
  if (entry->adopts)
    cease_adopting_locked();
  auto oldest = std::numeric_limits<std::uint64_t>::max();
  for (const auto &other : entries_)
    if (other.exists())
      oldest = std::min(oldest, other.begin);
  entries_.remove_if([&](const Entry &other) { return !other.exists() && other.end < oldest; });
  auto past = std::count_if(entries_.begin(), entries_.end(), [](const Entry &other) { return !other.exists(); });
  entries_.remove_if([&](const Entry &other) { return !other.exists() && past-- > most_remembered; });
}

void Registry::note_check(Entry *entry) {
  std::lock_guard lock(mutex_);
  entry->unchecked = false;
}

void Registry::keep(Entry *entry, const std::vector<census::Member> &processes) {
  std::lock_guard lock(mutex_);
  entry->counts_kept_alone = true;
  for (const auto &process : processes)
    entry->keep(process);
}

Claim Registry::claim(Entry *mine, const Descendant &descendant) {
  std::lock_guard lock(mutex_);
  const auto &thread = descendant.forked_by;
  Claim claim;
  for (auto &other : entries_)
    if (other.owns(descendant))
      return {.anothers = &other != mine};
  if (mine->counts_kept_alone)
    return {.anothers = true};
  if (thread == mine->thread)
    return claim;
  for (const auto &other : entries_) {
    // Guards within one another on one thread are not parallel.
    if (other.thread == mine->thread || !other.existed_at(descendant.process().start_ticks))
      continue;
    if (other.thread == thread)
      return {.anothers = true};
    claim.may_be_of.push_back(other.name);
    claim.left_to_another |= other.unchecked;
    claim.another_exists |= other.exists();
  }
  return claim;
}

void Registry::begin_adopting() {
  std::lock_guard lock(mutex_);
  begin_adopting_locked();
}

void Registry::cease_adopting() noexcept {
  std::lock_guard lock(mutex_);
  cease_adopting_locked();
}

void Registry::begin_adopting_locked() {
  if (adopting_ == 0) {
    was_subreaper_ = os::is_subreaper();
    os::become_subreaper();
  }
  ++adopting_;
}

void Registry::cease_adopting_locked() noexcept {
  if (--adopting_ == 0 && !was_subreaper_)
    try {
      os::cease_to_be_subreaper();
    } catch (const os::SyscallError &) {
      // no kernel refuses that to whom it has let become one
    }
}

bool Registry::adopts_for_guards_alone() {
  std::lock_guard lock(mutex_);
  return adopting_ > 0 && !was_subreaper_ && pid_ != 1;
}

} // namespace pidleak::library

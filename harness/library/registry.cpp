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
  if (adopts && adopting_ == 0) {
    was_subreaper_ = os::is_subreaper();
    os::become_subreaper();
  }
  adopting_ += adopts;
  entries_.push_back(
      {.name = std::move(name), .thread = this_thread(), .begin = now_ticks(), .unchecked = true, .adopts = adopts});
  return &entries_.back();
}

void Registry::leave(Entry *entry) noexcept {
  std::lock_guard lock(mutex_);
  entry->end = now_ticks();
  entry->unchecked = false;
  if (entry->adopts && --adopting_ == 0 && !was_subreaper_)
    try {
      os::cease_to_be_subreaper();
    } catch (const os::SyscallError &) {
      // no kernel refuses that to whom it has let become one
    }
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

Claim Registry::claim(const Entry *mine, const Descendant &descendant) {
  std::lock_guard lock(mutex_);
  const auto &thread = descendant.forked_by;
  Claim claim;
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

bool Registry::adopts_for_guards_alone() {
  std::lock_guard lock(mutex_);
  return adopting_ > 0 && !was_subreaper_ && pid_ != 1;
}

} // namespace pidleak::library

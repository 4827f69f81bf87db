// The guards of this process: who of them a process may belong to, and whether the process adopts orphans for them.
#pragma once

#include "harness/library/family.hpp"

#include <unistd.h>

#include <limits>
#include <list>
#include <mutex>
#include <string>

namespace pidleak::library {

/// Now, as start times of processes count it: in ticks since boot (CLOCK_BOOTTIME).
std::uint64_t now_ticks();

/// A guard as the others see it, for as long as there are guards that were there together with it.
struct Entry {
  static constexpr std::size_t most_kept = 256; // descriptors are few

  std::string name;
  Thread thread;
  std::uint64_t begin = 0, end = std::numeric_limits<std::uint64_t>::max(); // ticks; the end: of its existence
  bool unchecked = true;                                                    // it has yet to look for what remains
  bool adopts = false;
  bool counts_kept_alone = false;
  std::vector<os::ProcessRef> kept = {}; // its own, as long as it exists

  bool exists() const { return end == std::numeric_limits<std::uint64_t>::max(); }
  bool existed_at(std::uint64_t ticks) const { return begin <= ticks && ticks <= end; }
  void keep(const census::Member &process);
  /// It is kept, or is below what is: then it is from now on, whatever becomes of that.
  bool owns(const Descendant &descendant);
};

/// What is known of whose a process is.
struct Claim {
  bool anothers = false;
  std::vector<std::string> may_be_of; // whose else it may be
  bool left_to_another = false;       // one of these has yet to look
  bool another_exists = false;        // one of these may still need it
};

class Registry {
public:
  /// Also in a forked child, where it is a new one: the parent's may have been in use when it was copied.
  static Registry &of_this_process();

  /// Throws SyscallError.
  Entry *enter(std::string name, bool adopts);
  void leave(Entry *entry) noexcept;
  void note_check(Entry *entry);

  /// See Mark::keep().
  void keep(Entry *entry, const std::vector<census::Member> &processes);

  /// `mine`: the guard that asks.
  Claim claim(Entry *mine, const Descendant &descendant);
  /// This process is a subreaper from the first to the last. Throws SyscallError.
  void begin_adopting();
  void cease_adopting() noexcept;
  /// Whether orphans are adopted for guards alone: this process would have none without them.
  bool adopts_for_guards_alone();

private:
  void begin_adopting_locked();
  void cease_adopting_locked() noexcept;

  const pid_t pid_ = ::getpid();
  const Registry *copied_ = nullptr; // the parent's: still reachable, so that no checker calls it lost
  std::mutex mutex_;
  std::list<Entry> entries_;
  int adopting_ = 0; // who wants it to
  bool was_subreaper_ = false;
};

} // namespace pidleak::library

// All processes of a command that runs for long, without a walk at each look: the kernel's events say who is there, and
// /proc is asked for what is new or has ended. Now and then a walk says whether that is all.
#pragma once

#include "harness/census/genealogy.hpp"
#include "harness/census/walk.hpp"

#include <unordered_map>
#include <utility>
#include <vector>

namespace pidleak::guard {

class WatchedTree {
public:
  /// `scope`: as a walk takes it.
  explicit WatchedTree(census::Scope scope) : scope_(std::move(scope)) {}

  /// As census::walk_once() has them, but for names that a process has given itself, and states: a process that lives
  /// is as it was at its first look. `genealogy`: up to now.
  std::vector<census::Member> look(const census::Genealogy &genealogy);

private:
  using Id = census::Genealogy::Id;
  void take_in(const census::Genealogy &genealogy);

  census::Scope scope_;
  bool events_tell_all_ = true; // until a walk sees more
  int looks_until_walk_ = 0;
  Id last_ = 0; // of those that were looked at
  std::unordered_map<Id, census::Member> members_;
};

} // namespace pidleak::guard

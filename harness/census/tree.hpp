// Everything below one process: who is there, whether any of it still moves, and what is left of it.
//
//   root (adopts and reaps) ──▶ subject ──▶ worker ...
//     └────────▶ orphan
//
// Most often the root is the calling process. `pidleak guard` without options has its looks taken by a child.
#pragma once

#include "harness/census/boundary.hpp"
#include "harness/census/quiescence.hpp"
#include "harness/census/remaining.hpp"
#include "harness/census/settle.hpp"
#include "harness/census/spinning.hpp"
#include "harness/census/walk.hpp"

#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace pidleak::census {

/// Where a tree is, and what is known of it beforehand.
struct TreeOptions {
  Scope scope;
  pid_t subject = 0; // the pool's owner, or the command; 0: it is not there any more
  Boundary boundary;
  int outer_proc = -1;                    // a /proc of the PID namespace around; -1: it is this one
  std::vector<std::string> cgroups = {};  // directories of the groups that everything is in; none: there are none
  std::function<void(pid_t)> reaped = {}; // called for each child that a look has reaped
};

class Tree {
public:
  explicit Tree(TreeOptions options);

  /// A child of the root that is no member, nor who is below it.
  void leave_out(pid_t child) { options_.scope.except.push_back(child); }
  const Scope &scope() const { return options_.scope; }

  /// The first of these that is neither the subject nor one of the descendants; nothing: there is none.
  std::optional<pid_t> first_stranger(const std::vector<pid_t> &pids) const;
  /// Whether nothing moves any more, for certain.
  bool at_rest() const;
  /// The same, or nothing happens any more but a loop that turns, by this look and those before.
  bool at_rest_or_spins(Spinning &spinning) const;
  /// Whether nothing moves now, or but a loop that turns: cheaper, and enough where only this process could wake them.
  bool stands_still_or_spins(Spinning &spinning) const;

  /// For settle(): one look, in which those have yet to leave that `may_stay` does not hold of. Reaps first what this
  /// process has adopted, if it is the root.
  Sight see(const std::function<bool(pid_t)> &may_stay) const;
  Rest rest(const Walk &walk);

  /// The cgroups see no zombies and no process that left them; but all that they see, the walk must have seen. Nothing:
  /// there is no cgroup to compare with.
  std::optional<bool> agrees_with_cgroup(const Walk &walk) const;

  /// Everything about what is left in the walk, without the subject.
  std::vector<RemainingProcess> examine(const Walk &walk, const std::map<pid_t, std::string> &helpers) const;
  /// The same of the subject alone; nothing if it is not in the walk, or a zombie.
  std::optional<RemainingProcess> examine_subject(const Walk &walk) const;

private:
  Rest rest_of(const std::vector<Member> &members) const;
  bool is_certain(const Rest &rest) const;
  bool holds_or_spins(const std::function<Rest(const std::vector<Member> &)> &rest, Spinning &spinning) const;
  bool still_moves() const { return mover_ && census::still_moves(*mover_); }
  Surroundings surroundings() const;
  std::optional<RemainingProcess> examine(const Member &member, const Surroundings &around) const;
  std::optional<std::vector<pid_t>> cgroup_members() const;

  TreeOptions options_;
  pid_t session_;                      // the subject's at its start
  mutable std::optional<Mover> mover_; // what kept the last look from finding rest
};

} // namespace pidleak::census

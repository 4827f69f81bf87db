// Everything below the harness in one replay: who is there, whether any of it still moves, and what is left of it.
#pragma once

#include "harness/census/remaining.hpp"
#include "harness/census/walk.hpp"
#include "harness/replay/sandbox.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// What settle() came to.
struct Settled {
  census::Walk walk;
  reports::SettledBy by = reports::SettledBy::deadline;
  std::string why_not_quiescent; // by deadline: what kept the wait from being called endless
};

class Tree {
public:
  /// `direct_children_only`: the detector switched off, for tests.
  Tree(const Inside &inside, pid_t subject, bool direct_children_only);

  /// The first of these that is neither the subject nor one of its descendants; nothing: there is none.
  std::optional<pid_t> first_stranger(const std::vector<pid_t> &pids) const;
  /// Whether nothing moves any more, for certain.
  bool at_rest() const;

  /// Takes in what the subject says for some time, or until one of the pidfds is readable; true if it said something.
  using Hear = std::function<bool(std::chrono::microseconds, const std::vector<int> &pidfds)>;

  /// Waits until everybody has left who may not stay and `done` holds, or nothing that is left will ever move again,
  /// or `is_over`. Event-driven: by what is heard and by exits.
  Settled settle(const Hear &hear, const std::function<bool()> &done, const std::function<bool(pid_t)> &may_stay,
                 const std::function<bool()> &is_over) const;

  /// The cgroup sees no zombies and nobody who left it; but all whom it sees, the walk must have seen. Nothing: there
  /// is no cgroup to compare with.
  std::optional<bool> agrees_with_cgroup(const census::Walk &walk) const;

  /// Everything about whoever is left in the walk, without the subject.
  std::vector<census::RemainingProcess> examine(const census::Walk &walk,
                                                const std::map<pid_t, std::string> &helpers) const;
  /// The same of the subject alone; nothing if it is not in the walk, or a zombie.
  std::optional<census::RemainingProcess> examine_subject(const census::Walk &walk) const;

private:
  std::optional<census::RemainingProcess> examine(const census::Member &member,
                                                  const census::Surroundings &around) const;
  std::optional<std::vector<pid_t>> cgroup_members() const;

  const Inside &inside_;
  pid_t subject_;
  pid_t session_; // the subject's at its start
  census::Scope scope_;
};

} // namespace pidleak::replay

// Who has come since a guard was made, and may be that guard's.
#pragma once

#include "harness/library/helpers.hpp"
#include "harness/library/registry.hpp"

#include <map>
#include <vector>

namespace pidleak::library {

/// Whose child it was at first, of those that this process has now.
enum class Origin { own, adopted, unknown };

struct Suspect {
  Descendant who;
  Claim claim;
  Origin origin = Origin::own;

  /// It has ended, and elsewhere init would have reaped it, or the next one who should have.
  bool may_be_of_init() const {
    return origin == Origin::unknown && who.process().state == census::ProcessState::zombie;
  }
};

struct Look {
  std::vector<Suspect> suspects;
  bool complete = false; // two passes one after the other found the same suspects, and no child to reap
  bool reaped = false;   // at least one child
  Family family;

  std::vector<census::Member> members() const; // the suspects
};

/// If it has ended. Nothing is lost if a thread of the user's has waited for it at the same time, nor if it has another
/// parent. Throws SyscallError.
void reap_if_child(const os::ProcessRef &process);

/// The beginning of a guard, and what it is compared with.
class Suspects {
public:
  /// Takes the baseline: `mine` has just been entered. `strict`: what may be this process's child is. Of `helpers`,
  /// which outlive this object, those that were there before are asked for others. Throws SyscallError.
  Suspects(Entry *mine, bool strict, const std::vector<Helper> &helpers);

  /// Reaps on its way the ended orphans that this process has adopted for its guards alone: init would have. Throws
  /// SyscallError.
  Look look();

private:
  Look look_once();
  bool was_there_before(const census::Member &process) const;
  bool is_from_before(const Descendant &descendant) const;
  Origin origin_of(const census::Member &process) const;
  void keep_those_elsewhere(const Look &look);

  Entry *mine_;
  bool strict_;
  const std::vector<Helper> &helpers_;
  pid_t session_;                             // of this process then; it may have made one of its own since
  std::vector<os::ProcessRef> of_that_tick_;  // there at the baseline, but not older than it by the clock
  std::map<pid_t, os::ProcessRef> elsewhere_; // seen below another parent than this process
};

} // namespace pidleak::library

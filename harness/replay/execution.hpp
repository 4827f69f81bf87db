// The execution of a replay's processes, point by point: recorded, or followed to the one point where a fault comes.
#pragma once

#include "harness/replay/faults.hpp"
#include "harness/replay/named_objects.hpp"
#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"
#include "harness/tracing/tracer.hpp"

#include <functional>
#include <optional>

namespace pidleak::replay {

class Execution {
public:
  using RoleOf = std::function<std::optional<tracing::Role>(pid_t)>;

  /// Takes hold of the subject, which waits for a command. `steps`: their names. The plan and the sandbox must outlive
  /// this. Throws what Tracer does.
  Execution(const Plan &plan, const Inside &inside, const os::ProcessRef &subject, std::vector<std::string> steps);

  /// What happens from now on belongs to this step, an index of their names.
  void enter(std::size_t step) { tracer_.enter(step); }
  /// For the names of pipes and locks, once the subject has told them.
  NamedObjects &names() { return names_; }
  bool is_fault_done() const { return tracer_.is_done(); }
  /// The victim that died at its point with a lock in hand; 0: none.
  pid_t died_with_lock() const;

  /// Before the census: nothing is traced any more.
  void let_go() { tracer_.let_go(); }
  /// After it: what was recorded, or that the fault happened at its point, to the report.
  /// `role_of`: what is known by then of a process; nothing: it is none of the pool's.
  void report(reports::Report &report, const RoleOf &role_of) const;

private:
  std::string actor_of(const tracing::TracedProcess &process, const RoleOf &role_of) const;
  reports::Evidence show_fault(const std::optional<tracing::Injected> &injected) const;

  const Plan &plan_;
  NamedObjects names_;
  std::optional<OomTrap> trap_;
  std::uint64_t kills_before_ = 0;
  tracing::Tracer tracer_; // the last: its thread uses the others
};

} // namespace pidleak::replay

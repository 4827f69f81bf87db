// What proves that the conditions of a replay held and its fault happened: facts in, evidence out.
#pragma once

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/protocol/vocabulary.hpp"
#include "harness/replay/scenario.hpp"
#include "reports/report.hpp"

#include <map>
#include <optional>
#include <string>

namespace pidleak::replay {

/// What a signal does in a process; nothing if that could not be read.
using Disposition = std::optional<os::SignalAction>;
using Dispositions = std::map<pid_t, Disposition>;

/// The disposition is a condition of the subject. What the workers make of it is the pool's doing, and recorded.
/// `runtime_handles`: the subject's runtime catches SIGTERM by itself and then ends, as it says; the kernel shows a
/// handler there that the program has not registered.
reports::Evidence show_sigterm(const Conditions &conditions, Disposition in_subject, const Dispositions &in_workers,
                               bool runtime_handles = false);

/// What is known of the victim's end.
struct DeathFacts {
  pid_t victim = 0;
  bool exited = false;
  std::optional<os::WaitStatus> status;      // as the kernel tells (Linux 6.15), or the zombie's entry in /proc
  std::optional<os::WaitStatus> status_told; // as the pool tells
  bool kill_delivered = false;               // pidfd_send_signal(SIGKILL) succeeded while it lived
  std::optional<std::uint64_t> oom_kills;    // by how much the counter grew; nothing: no real OOM kill was asked for
};
reports::Evidence show_death(const Conditions &conditions, const DeathFacts &facts);

/// Whether its victim's parent has waited for it.
bool was_reaped(const DeathFacts &facts);

/// What became of a worker that died, and of its place, that many seconds later where that is known.
reports::Evidence show_reaction(bool replaced, bool reaped, std::optional<double> seconds);

/// `depth`: the call queue's when the pool broke, or `at_break` false, before shutdown was called.
reports::Evidence show_queue(const Conditions &conditions, int depth, int capacity, bool at_break);

/// `forced`: the order was made, not left to chance; `held`: and it was kept up until the pool had reacted.
reports::Evidence show_race(const Conditions &conditions, bool forced, bool held);

} // namespace pidleak::replay

// Follows the execution of a subject and of what it forks, call by call, by ptrace(2); does a fault at one point.
//
//   thread of its own:  SEIZE ──▶ stop ──▶ named: birth, thread, step, call#K ──▶ recorded, or it is the fault's: done
//                                  ▲                                                │
//                                  └──────────── goes on, untouched ◀───────────────┘
//
// ptrace belongs to a thread: all of it is done by one, which waits for nothing but what it traces (__WNOTHREAD). What
// is not asked for runs without stops, and after the fault everything does. No other thread may wait for children
// meanwhile: the kernel tells it the stops of those that are its own, and the tracer then never hears of them.
#pragma once

#include "harness/os/process_ref.hpp"
#include "harness/tracing/fault.hpp"
#include "harness/tracing/point.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::tracing {

/// Where a thread was held, and what the kernel showed there (PTRACE_GET_SYSCALL_INFO, Linux 5.3).
struct Stop {
  pid_t pid = 0, thread = 0;
  Place place;
  std::uint64_t call = 0; // its number and arguments; of an event: 0
  std::array<std::uint64_t, 6> arguments{};
  std::optional<std::int64_t> result; // at the exit of a call
  std::string target;                 // see target_of()
  std::string circumstances;          // what Options::look_closer said
};

struct TracedProcess {
  pid_t pid = 0;
  Birth birth;
  std::vector<Stop> stops; // in their order
};

/// A fault, and the one place where it comes.
struct FaultAt {
  Birth birth;
  Place place;
  Fault fault;
};

struct Injected {
  Stop stop;
  bool done = false;                    // the signal was sent, the call failed, the trap was closed
  std::optional<os::WaitStatus> status; // of a victim that has ended, where the kernel tells
};

class Tracer {
public:
  struct Options {
    std::vector<std::string> steps;    // their names; what comes before the first enter() is not looked at
    bool begins_at_exec = false;       // what the subject does before it is a program of its own is not looked at
    std::optional<FaultAt> fault = {}; // nothing: what processes do is recorded
    std::optional<Birth> only = {};    // of a recording: of this process alone; nothing: of all
    /// For FaultKind::oom: closes the trap on that process. By the tracer's thread, the process being held.
    std::function<void(const os::ProcessRef &)> close_trap = {};
    /// What else is to be told of a stop that is recorded or is the fault's; by the tracer's thread.
    std::function<std::string(const Stop &)> look_closer = {};
  };

  /// Takes hold of `subject`, a child of this process that is waiting for a command. Throws SyscallError where tracing
  /// is not allowed, and std::runtime_error where another program traces it already.
  Tracer(const os::ProcessRef &subject, Options options);
  Tracer(const Tracer &) = delete;
  Tracer &operator=(const Tracer &) = delete;
  /// let_go()
  ~Tracer();

  /// What is called from now on belongs to this step, an index of `steps`.
  void enter(std::size_t step);
  /// Whether the fault has been done. Nothing is traced any more then, or soon will not be.
  bool is_done() const;

  /// Detaches from everything that is still traced; the place for that is before a census. Idempotent. Throws what
  /// ended the tracing early.
  void let_go();
  /// After let_go().
  const std::vector<TracedProcess> &recorded() const;
  const std::optional<Injected> &injected() const;

private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

} // namespace pidleak::tracing

// Watching a service that runs already, of which guard is no ancestor. It is only looked at: nothing there is ever
// signalled, ended or traced.
//
//   service ──▶ worker ──▶ helper          below the service: always seen
//               orphan (init's child)      seen for as long as it lives, if it was seen before it lost its parent,
//                                          or if it is in a cgroup that the service has to itself
//
// That is the weakest tier, `attached`, and its census never counts as complete.
#pragma once

#include "harness/guard/guard.hpp"
#include "harness/os/process_ref.hpp"

namespace pidleak::guard {

/// What can be seen of a service, found out once.
struct Service {
  os::ProcessRef process;
  std::string cgroup;              // that it has to itself; empty: none
  std::vector<std::string> limits; // what may be missed, or not read: a sentence each, for people
  static Service of(os::ProcessRef process);
};

/// Until the service ends, a signal asks this process to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT), or the timeout is
/// over. What remains of a service that has ended is in the report then: leaked. It is invalid if the service still
/// runs and there were too few looks to tell what accumulates. `options`: grace, timeout and every. The outcome's
/// status is 0. Throws SyscallError.
Outcome attach(const Service &service, const Options &options, const Listener &listener);

} // namespace pidleak::guard

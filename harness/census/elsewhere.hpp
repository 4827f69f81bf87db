// The last question before a claim that processes are stuck: has what they wait for come into other hands since? Over a
// socket (SCM_RIGHTS), by pidfd_getfd(2), through /proc/PID/fd: no boundary that was drawn beforehand knows of it.
//
// This reads /proc of every process of the machine that this user may look at, and is asked only where all else says
// that they are stuck.
#pragma once

#include "harness/census/walk.hpp"

#include <set>
#include <string>
#include <vector>

namespace pidleak::census {

/// Something that a thread waits for, by the name that identity_of() gives it.
struct Awaited {
  enum class End { any, pipe_reader, pipe_writer }; // what another process must have to help the thread on
  std::string identity;                             // `pipe:[1]`, `socket:[2]`, `eventfd:3`, `file:08:04:17`
  End needs = End::any;
  auto operator<=>(const Awaited &) const = default; // NOLINT(modernize-use-nullptr): as clang-tidy 14 has it
};

struct Elsewhere {
  std::string why;      // these may not be stuck; empty: no other process was found to have a hand in it
  std::string identity; // what is held elsewhere; empty: it is something else
};

class Holdings;

/// Whether a process that is neither a member nor the root nor the caller has one of these, or is traced by a member;
/// or whether a member has an io_uring that only its memory map shows.
Elsewhere look_elsewhere(const std::vector<Member> &members, const Holdings &holdings, const Scope &scope,
                         const std::set<Awaited> &awaited);

} // namespace pidleak::census

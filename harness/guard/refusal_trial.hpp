// One run of guard with a call that the kernel refuses, and what may come of it: guard is right, or it says that it
// can't be. Whatever else is bad.
//
//   trial (subreaper, tracer) ──▶ stranger   in guard's process group and session, with guard's parent: not its
//   business
//                             └─▶ guard ──▶ command
#pragma once

#include "harness/guard/refuser.hpp"

namespace pidleak::testing {

/// A way of running guard.
struct Guarding {
  std::string name;
  std::vector<std::string> options;      // of `guard`
  bool leaks = false;                    // its command leaves a process behind
  int child = 0, programs = 1;           // see Refused
  std::vector<std::string> instead = {}; // the whole program, to try the trial itself
};

enum class Came {
  right,
  refused,
  not_reached,
  clean_although_left,
  stranger_signalled,
  left_running,
  hung,
  wrong_status,
  said_nothing,
  false_alarm
};
constexpr bool is_bad(Came came) { return came > Came::not_reached; }
std::string_view word_of(Came came);

struct Trial {
  Came came = Came::hung;
  std::string said; // by guard, and its status
  Seen seen;
};

/// The caller is a process of its own for this: a subreaper that leads its process group. Ends whatever is left.
Trial try_guard(const Guarding &guarding, const Refusal &refusal, milliseconds bound = milliseconds(20000));

} // namespace pidleak::testing

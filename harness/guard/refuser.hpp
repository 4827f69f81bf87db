// A kernel that refuses: runs a program, and lets one of its system calls fail.
//
// A seccomp filter can't do that. It refuses a call to all processes below as well, and always; a shortage refuses one
// process once. So the program is traced (ptrace(2)), and no other process: its children run free, but for the one that
// is to be refused instead of it.
//
//   tracer ──▶ guard ──▶ command    its calls are counted, and one fails or all from one on
//                └─────▶ looker     or those of this one
#pragma once

#include "harness/os/process_ref.hpp"

#include <string>
#include <vector>

namespace pidleak::testing {

/// Whether this machine's calls can be made to fail: the registers are those of x86-64.
constexpr bool can_refuse =
#ifdef __x86_64__
    true;
#else
    false;
#endif

struct Refusal {
  long call = -1; // number; -1: none is refused
  int error = EPERM;
  int first = 1;             // the instance of this call that fails
  bool for_ever = false;     // and all after it
  bool from_main_on = false; // instances before main runs are not counted, nor those of programs before the last
};

struct Refused {
  std::vector<std::string> program; // path and arguments
  int child = 0;                    // its N-th child, in place of itself
  int programs = 1;                 // how many it executes one after the other, for `from_main_on`
  int output = -1;                  // standard output and error
};

struct Counted {
  long call = -1;
  bool before_main = false;
};

struct Seen {
  std::optional<os::WaitStatus> status; // nothing: it had not ended at the deadline, and was killed
  std::vector<Counted> calls;           // of the process that is counted, from its exec on
  int refused = 0;
  bool refused_before_main = false;
};

/// The caller must be a subreaper without threads, and reaps whatever ends below it. SIGCHLD stays blocked.
Seen run_refused(const Refused &what, const Refusal &refusal, Deadline deadline);

/// The name of any call that a program of this project makes; else its number.
std::string call_name(long number);

} // namespace pidleak::testing

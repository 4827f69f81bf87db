// Starting another program (fork and exec), through Boost.Process v2.
#pragma once

#include "harness/os/process_ref.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::os {

/// What to start, and what it inherits. Everything not named here is closed or left to exec's rules: dispositions
/// of ignored signals, the signal mask, the environment and the working directory are inherited.
struct Launch {
  std::string program;                // path; not looked up on PATH
  std::vector<std::string> arguments; // without argv[0]
  int standard_input = -1;            // descriptors to use; -1: /dev/null
  int standard_output = -1;
  int standard_error = 2;
  std::vector<int> inherited = {}; // further descriptors, under the same number
  bool default_signals = false;    // reset dispositions and mask before exec
};

/// Starts it and holds the child, which the caller has to reap. Throws std::system_error naming the program when
/// it can't be executed.
ProcessRef launch(const Launch &what);

/// Runs it to its end and returns what it wrote to standard output (not more than 64 KiB, and none of its standard
/// error); nothing if it can't be executed, fails, or takes longer than ten seconds: then it is killed.
std::optional<std::string> output_of(Launch what);

/// `name` looked up on PATH; empty if it is not there. A name with a slash is taken as it is.
std::string find_on_path(const std::string &name);

} // namespace pidleak::os

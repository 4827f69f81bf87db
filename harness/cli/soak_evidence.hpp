// What is kept of a replay that deviates: a directory with all that is known of it.
#pragma once

#include "harness/replay/scenario.hpp"
#include "reports/report.hpp"

#include <string>

namespace pidleak::cli {

struct Deviating {
  const reports::Report &report;
  const replay::Plan &plan;
  std::size_t number = 0; // among all replays of the soak, from 1
  std::string expected;
  std::string soak_command; // which comes to the same replay, in the same order
};

/// The command that replays this plan alone, again and again.
std::string command_of(const replay::Plan &plan, reports::Tier tier);

/// Writes to a new directory below `parent`, which is made if need be: `report.json`, `report.txt`, `commands.txt` and
/// `stderr.txt`. Gives the directory's path. Throws std::filesystem::filesystem_error, SyscallError.
std::string keep_evidence(const std::string &parent, const Deviating &deviating);

} // namespace pidleak::cli

// The renderings that a verb can write besides what it prints: one option each, the same for all verbs.
#pragma once

#include "harness/cli/command_line.hpp"
#include "harness/cli/output_file.hpp"
#include "reports/outcome.hpp"
#include "reports/tally.hpp"

#include <map>

namespace pidleak::cli {

/// As the user gave them.
struct Outputs {
  std::map<std::string, std::string> files; // by option; only those that were given
  bool github = false;

  bool wanted() const { return github || !files.empty(); }
  /// One of them shows processes along time.
  bool show_time() const { return files.contains("--html") || files.contains("--trace"); }
  /// One of them, or the report, is written to standard output.
  bool take_stdout(const std::string &report_path = {}) const;
  /// At least one takes every replay by itself, and not what they came to together.
  bool want_each() const;
};

/// The options of a verb. `outputs` must live until it has run.
std::vector<Option> output_options(Outputs &outputs);

/// Throws UsageError if one of the files can't be written. No two can be one file, nor one the report's, where that is
/// written as well.
void check_outputs(const Outputs &outputs, const std::string &report_path = {});

/// What is to be written.
struct Results {
  reports::Tallies tallies;
  std::vector<reports::Report> each; // empty if Outputs::want_each() is false
};

/// Writes the files, each whole or not at all, and the annotations: to standard output, where GitHub's runner reads
/// them, or to standard error if that is taken by one of the files or by something else.
void write_outputs(const Outputs &outputs, const Results &results, bool stdout_is_taken = false,
                   const reports::Deviation &deviation = {});

} // namespace pidleak::cli

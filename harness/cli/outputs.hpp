// The renderings that a verb can write besides what it prints: one option each, the same for all verbs.
#pragma once

#include "harness/cli/command_line.hpp"
#include "reports/outcome.hpp"

#include <map>

namespace pidleak::cli {

/// As the user gave them.
struct Outputs {
  std::map<std::string, std::string> files; // by option; only those that were given
  bool github = false;
  bool json = false; // standard output is for JSON alone

  bool wanted() const { return github || !files.empty(); }
};

/// The options of a verb. `outputs` must live until it has run.
std::vector<Option> output_options(Outputs &outputs);

/// Throws UsageError if the file that `option` names can't be written: before anything else is done.
void check_output(const std::string &option, const std::string &path);
/// The same for all of them. No two can be one file, nor one the report's, where that is written as well.
void check_outputs(const Outputs &outputs, const std::string &report_path = {});

/// Writes the files, each whole or not at all, and the annotations: to standard output, where GitHub's runner reads
/// them, or to standard error if that is taken.
void write_outputs(const Outputs &outputs, const std::vector<reports::Report> &reports,
                   const reports::Deviation &deviation = {});

} // namespace pidleak::cli

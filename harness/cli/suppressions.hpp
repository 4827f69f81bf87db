// The options that let known processes remain: the same for all verbs that judge.
#pragma once

#include "harness/cli/command_line.hpp"
#include "reports/suppressions.hpp"

namespace pidleak::cli {

/// As the user gave them.
struct Suppressions {
  std::string path;
  bool strict = false;
  std::vector<reports::SuppressionRule> rules = {}; // once they were read
  std::vector<reports::Suppression> uses = {};      // of the rules, in all reports to which they were applied
};

/// The options of a verb. `suppressions` must live until it has run.
std::vector<Option> suppression_options(Suppressions &suppressions);
/// Throws UsageError for a file that can't be read or is wrong.
void read_suppressions(Suppressions &suppressions);
void apply_suppressions(Suppressions &suppressions, reports::Report &report);
/// Tells of rules that are good for nothing any more, to standard error. The status where they are not tolerated.
int check_suppressions(const Suppressions &suppressions, int status);

} // namespace pidleak::cli

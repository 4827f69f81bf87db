// What the verbs that replay have in common: which scenarios on which pools under which conditions, and how.
#pragma once

#include "harness/cli/command_line.hpp"
#include "harness/replay/run.hpp"

#include <functional>

namespace pidleak::cli {

/// As the user gave them; the texts are checked by make_plans() and replay_all().
struct ReplayOptions {
  std::vector<std::string> scenarios, pools = {"all"}, start_methods;
  std::vector<std::function<void(Conditions &)>> overrides; // those that were given
  int workers = 4, repeat = 1, jobs = 1;
  std::string report_path, require_tier, tier, oom = "real";
  bool stacks = false;
  bool json = false;
  /// Has the last word on the reports before they are written. Not set: they stay as they are.
  std::function<void(std::vector<reports::Report> &)> revise = {};
};

/// The options of a verb. `options` must live until it has run.
std::vector<Option> replay_options(ReplayOptions &options);

/// Every scenario under every start method on every pool, as often as wanted. Throws UsageError.
std::vector<replay::Plan> make_plans(const ReplayOptions &options);

/// This run would be weaker than --require-tier: status 4. The text says by how much, and why.
class TierRefused : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

struct Replayed {
  std::vector<reports::Report> reports; // in the plans' order
  std::string where;                    // the tier and why it is not a stronger one, for people
};

/// Replays with progress on a terminal's standard error, and writes --report. Throws UsageError (before anything was
/// started, a report that can't be written among them) and TierRefused.
Replayed replay_all(const ReplayOptions &options, const std::vector<replay::Plan> &plans);

[[noreturn]] void refuse_word(const std::string &option, const std::string &text,
                              const std::vector<std::string> &known);

/// A word of E, or UsageError with a suggestion.
template <class E>
E word(const std::string &option, const std::string &text) {
  if (auto value = parse_spelling<E>(text))
    return *value;
  refuse_word(option, text, spellings<E>());
}

} // namespace pidleak::cli

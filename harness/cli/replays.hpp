// What the verbs that replay have in common: which scenarios on which pools under which conditions, and how.
#pragma once

#include "harness/cli/command_line.hpp"
#include "harness/cli/shard.hpp"
#include "harness/replay/run.hpp"
#include "reports/document.hpp"

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
  std::optional<replay::PoolChoice> served = {};  // a server of the user's own, beside the pools
  milliseconds grace{30000}, ready_within{30000}; // of servers
  ShardOptions shards = {};
  std::optional<reports::Shard> shard = {}; // what came of these; nothing: the whole
  std::string from = {};                    // a report that has the replays already; empty: they are done
};

/// The options of a verb. `options` must live until it has run.
std::vector<Option> replay_options(ReplayOptions &options);
/// Of those verbs that can judge replays which were done before.
Option from_option(ReplayOptions &options);

/// Every scenario under every start method on every pool, once. Throws UsageError.
std::vector<replay::Plan> make_plans(const ReplayOptions &options);

/// This run would be weaker than --require-tier: status 4. The text says by how much, and why.
class TierRefused : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Where replays take place, as strong as this machine and the options allow.
struct Place {
  replay::Facilities facilities;
  reports::Tier tier;
  std::string text; // the tier and why it is not a stronger one, for people
};
/// Throws UsageError and TierRefused.
Place find_place(const ReplayOptions &options);

/// Finds the shard, takes what its engine wants of reports where the user has named none, and runs.
int run_as_shard(ReplayOptions &options, const std::function<int(const EngineFiles &)> &run);

/// Says in the first line of output that this is a part, and of how much; in standard error where standard output is
/// for a document. Nothing where it is the whole.
void announce_shard(const ReplayOptions &options, const std::string &what);

/// The head of this shard's document; of the whole it has nothing. `all`: all that is to be done, by all shards.
reports::DocumentHead head_of(const ReplayOptions &options, const std::string &verb,
                              const std::vector<std::string> &all);

/// The conditions that are not as by default, each with its word, in the order of reports.
std::vector<std::pair<std::string, std::string>> changed_conditions(const reports::Report &report);

/// `pidleak run ...` that replays what this report is of: the words, without those of a point.
std::vector<std::string> run_words(const reports::Report &report);

/// The command that replays the earliest point of a class of a sweep once more. Of a command's it does not know when it
/// was ready.
std::string replay_line(const reports::Sweep &sweep, const reports::SweepClass &one);

/// What was done in a replay: `4 workers with fork; death oom, sigterm handler, queue full`.
std::string done_in(const reports::Report &report);

/// The run was interrupted, and what was done of it is of no use: status 128 and the signal's number.
class Interrupted : public std::runtime_error {
public:
  explicit Interrupted(const std::string &what, int signal) : std::runtime_error(what), status_(128 + signal) {}
  int status() const { return status_; }

private:
  int status_;
};

/// Takes the report of a replay, with the place of its plan. Has the last word on it before it is written.
using OnReport = std::function<void(std::size_t plan, reports::Report &)>;

struct Replayed {
  std::size_t wanted = 0;
  replay::Ran ran;
  std::string where; // the tier and why it is not a stronger one, for people

  bool has_none() const { return wanted == 0; } // no cell belongs to this shard
  /// `44 replays`, or how many of them where the run was interrupted.
  std::string count() const;
  /// 128 and the signal's number after an interruption, else the one given.
  int status(int judged) const { return ran.interrupted_by ? 128 + *ran.interrupted_by : judged; }
};

/// Replays with progress on a terminal's standard error, each plan as often as wanted, and writes the report to
/// --report, and to standard output if `json_to_stdout`; what was done of it after an interruption as well. Throws
/// UsageError (before anything was started, a report that can't be written among them) and TierRefused.
///
/// Of a shard those that are its own; a shard may have none. With --from the replays are taken from there.
Replayed replay_all(const std::string &verb, const ReplayOptions &options, const std::vector<replay::Plan> &plans,
                    const OnReport &on_report, bool json_to_stdout = false);

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

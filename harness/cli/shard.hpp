// Which shard of a run this process is to do: as the user says, or the engine that has started it.
//
//   --shard, --shards, environment ──▶ find_shard ──▶ reports::Shard ──▶ which cells, which points
#pragma once

#include "harness/cli/command_line.hpp"
#include "reports/shard.hpp"

#include <functional>

namespace pidleak::cli {

/// As the user gave them.
struct ShardOptions {
  std::string shard; // I/N, from 1
  int count = 0;     // of --shards; 0: not given
};

/// The options of a verb. `options` must live until it has run.
std::vector<Option> shard_options(ShardOptions &options);

/// What an environment variable has, or nothing.
using Environment = std::function<std::optional<std::string>(const std::string &name)>;
Environment environment_here();

/// Nothing: the whole of it. --shard decides alone, and `--shard 1/1` is the whole whatever the engine says. Without
/// it engines count that have set their variables, if they agree. Throws UsageError: two that do not, or one that says
/// what can't be.
std::optional<reports::Shard> find_shard(const ShardOptions &options, const Environment &environment);

/// The files that an engine wants of a test that knows its shards (Bazel's test encyclopedia; GoogleTest has the
/// first).
struct EngineFiles {
  std::string junit, report;          // paths; empty: none is wanted
  std::string status, infrastructure; // a file that says: shards are known here; and one for what broke
};
EngineFiles engine_files(const std::optional<reports::Shard> &shard, const Environment &environment);

/// Creates the status file, runs, and tells the engine of a run that has broken, by status 5 or an exception, which
/// goes on. Throws UsageError if the file can't be made.
int run_for_engine(const EngineFiles &files, const std::function<int()> &run);

} // namespace pidleak::cli

// A shard: the part of a run that one machine, task or process does, and what its document says of it.
//
//   names of cells ──▶ stable_hash ──▶ whose each is        ShardHead ──▶ `shard`, a member of its document
#pragma once

#include "reports/report.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::reports {

/// One of `count` parts. A cell belongs to one of them by its name alone: another cell more moves none.
struct Shard {
  int index = 1, count = 1; // from 1
  std::string by;           // what said so: `--shard`, `SLURM_ARRAY_TASK_ID`

  bool owns(const std::string &name) const;
  /// `shard 3 of 8 (SLURM_ARRAY_TASK_ID)`
  std::string text() const;
};

/// Whose a cell is, of `count`: 1 to `count`.
int shard_of(const std::string &name, int count);

/// What is replayed, of a report or of one that only says what is to be done: scenario, pool, workers, conditions and,
/// where there is one, the fault at a point. The same for every repetition, on every machine.
std::string cell_name(const Report &report);
/// The same with this fault at this point.
std::string cell_name(const Report &report, const std::string &point, const std::string &fault);

/// What the document of a shard says of it, for all shards to be put together.
struct ShardHead {
  Shard shard;
  std::string verb, version;                 // which command of which pidleak
  std::string plan;                          // a hash of all that is to be done, by all shards; hash_text()
  std::size_t cells = 0;                     // that are to be replayed here; of a sweep 0: its recording tells
  int repeat = 1;                            // of each cell
  std::size_t replays = 0;                   // in its document; of a sweep 0, before they are counted
  std::string machine, kernel, distribution; // where it ran

  bool is_sweep() const { return verb == "sweep"; }
};

/// What the head of a document says of its reports.
struct DocumentHead {
  std::optional<ShardHead> shard;     // it is of one shard
  std::vector<ShardHead> merged = {}; // it is of these: so many replays each, one after the other
};

/// Reads the head of a document, and puts machine and distribution on its reports as they come.
class HeadReader {
public:
  /// A member of the document, whatever it is. Throws std::invalid_argument.
  void take(const std::string &name, const nlohmann::ordered_json &value);
  void label(Report &report);

  DocumentHead head;

private:
  std::size_t place_ = 0, labelled_ = 0; // in head.merged, and how many of its reports
};

/// Says where this process runs: name of the host, kernel, distribution as /etc/os-release has it.
void sign(ShardHead &head);

nlohmann::ordered_json to_json(const ShardHead &head);
/// Throws std::invalid_argument.
ShardHead shard_head_from_json(const nlohmann::ordered_json &json);

} // namespace pidleak::reports

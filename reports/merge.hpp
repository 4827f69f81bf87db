// Documents put together: those of shards, with proof that they are all parts of one run; or any others.
//
//   heads ──▶ sorted, held against each other ──▶ each document is read, report by report: whose it is, how often
//                                                     └─▶ of sweeps once more: points, classes ──▶ one document
#pragma once

#include "reports/content.hpp"
#include "reports/document.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pidleak::reports {

/// A document, which is read more than once.
struct MergeInput {
  std::string path;              // for texts
  std::function<Content()> open; // what it gives lives as long as this
};

struct Merged {
  std::vector<ShardHead> shards; // in the order of the document, with the numbers of their replays; empty: of others
  int count = 0;                 // of all shards that there are
  std::vector<std::string> different;  // what can't be parts of one run
  std::vector<std::string> incomplete; // what is missing, doubled or unfinished
  std::vector<std::string> notes;      // of sweeps: points that not each shard has recorded
  std::vector<Sweep> sweeps;
  std::map<Verdict, std::size_t> verdicts;
  std::size_t reports = 0;
  std::function<Content()> document; // of all of them; the inputs are read once more for it

  bool is_whole() const { return different.empty() && incomplete.empty(); }
};

/// In memory is never more than one report, what is known of the cells of one shard, and of sweeps their points. Throws
/// std::invalid_argument with the path of a document that can't be read.
Merged merge(const std::vector<MergeInput> &inputs);

} // namespace pidleak::reports

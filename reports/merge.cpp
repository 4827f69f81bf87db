#include "reports/merge.hpp"

#include "harness/base/stable_hash.hpp"
#include "reports/json_members.hpp"
#include "reports/reading.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace pidleak::reports {
namespace {

/// One of the documents.
struct Part {
  const MergeInput *input;
  DocumentHead head;
  ReportsPlace place; // of its reports, to be copied
  std::size_t reports = 0;
  std::shared_ptr<Spool> rewritten = nullptr; // of an earlier version, in the words of this one
};

/// One pool under one set of conditions, which each shard has swept a part of.
struct Target {
  Report recording;
  std::vector<SweptPoint> planned;                  // by any of them
  std::map<std::uint64_t, int> planned_by;          // by hash of the name: how many shards
  std::unordered_set<std::uint64_t> planned_by_own; // by the shard whose it is
};

constexpr std::size_t most_told = 10;

/// So many that a reader can take them in.
std::string some_of(const std::vector<std::string> &all) {
  auto told = std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), most_told)));
  return fmt::format("{}{}", fmt::join(told, ", "),
                     all.size() > most_told ? fmt::format(" and {} more", all.size() - most_told) : "");
}

template <class Read>
auto reading(const MergeInput &input, const Read &read) {
  try {
    return read();
  } catch (const std::invalid_argument &e) {
    throw std::invalid_argument(fmt::format("{}: {}", input.path, e.what()));
  }
}

Part part_of(const MergeInput &input) {
  return reading(input, [&] {
    HeadReader head;
    auto content = input.open();
    Source source(content);
    read_document(source, {.on_member = [&](const auto &name, const auto &value) { head.take(name, value); },
                           .on_reports = [] { return false; },
                           .on_report = nullptr});
    if (!head.head.merged.empty())
      throw std::invalid_argument("shards are merged in it already: merge the documents of the shards themselves");
    return Part{.input = &input, .head = std::move(head.head), .place = {}};
  });
}

class Merging {
public:
  explicit Merging(const std::vector<MergeInput> &inputs) {
    for (const auto &input : inputs)
      parts_.push_back(part_of(input));
  }

  Merged run() {
    are_shards_ = std::any_of(parts_.begin(), parts_.end(), [](const Part &part) { return part.head.shard; });
    if (are_shards_)
      compare_heads();
    for (auto &part : parts_)
      read(part);
    sweep();
    merged_.document = [parts = parts_, head = DocumentHead{.shard = {}, .merged = merged_.shards},
                        tail = document_tail(merged_.reports == 0, merged_.sweeps)] {
      return document_of(parts, head, tail);
    };
    return std::move(merged_);
  }

private:
  void compare_heads() {
    std::erase_if(parts_, [&](const Part &part) {
      if (!part.head.shard)
        merged_.different.push_back(fmt::format("{}: is of no shard", part.input->path));
      return !part.head.shard;
    });
    std::stable_sort(parts_.begin(), parts_.end(), [](const Part &a, const Part &b) {
      return a.head.shard->shard.index < b.head.shard->shard.index;
    });
    const auto &first = *parts_.front().head.shard;
    merged_.count = first.shard.count;
    auto differ = [&](const Part &part, const char *what, const auto &its, const auto &others) {
      if (its != others)
        merged_.different.push_back(fmt::format("{}: its {} is {}, and that of {} is {}", part.input->path, what, its,
                                                parts_.front().input->path, others));
    };
    std::map<int, std::vector<std::string>> files;
    for (const auto &part : parts_) {
      const auto &head = *part.head.shard;
      differ(part, "number of shards", head.shard.count, first.shard.count);
      differ(part, "verb", head.verb, first.verb);
      differ(part, "version of pidleak", head.version, first.version);
      differ(part, "plan", head.plan, first.plan);
      files[head.shard.index].push_back(part.input->path);
    }
    std::vector<std::string> missing;
    for (int index = 1; index <= merged_.count; ++index)
      if (auto found = files.find(index); found == files.end())
        missing.push_back(fmt::to_string(index));
      else if (found->second.size() > 1)
        merged_.incomplete.push_back(fmt::format("shard {} of {} is there {} times: {}", index, merged_.count,
                                                 found->second.size(), some_of(found->second)));
    if (!missing.empty())
      merged_.incomplete.push_back(fmt::format("shard{} {} of {} {} missing", missing.size() == 1 ? "" : "s",
                                               some_of(missing), merged_.count, missing.size() == 1 ? "is" : "are"));
  }

  /// Everything of a document but what its sweep came to.
  void read(Part &part) {
    cells_.clear();
    Json sweeps; // null: its sweep has not come to its end
    std::vector<std::string> recorded;
    reading(*part.input, [&] {
      auto content = part.input->open();
      Source source(content);
      part.place = read_document(source, {.on_member =
                                              [&](const std::string &name, const Json &value) {
                                                if (name == "shard" && !part.head.shard)
                                                  throw std::invalid_argument("\"shard\" stands behind its reports");
                                                if (name == "sweeps")
                                                  sweeps = value;
                                              },
                                          .on_reports = nullptr,
                                          .on_report = [&](const Json &json) { take(part, json, recorded); }});
      return 0;
    });
    merged_.reports += part.reports;
    if (!are_shards_)
      return;
    const auto &head = *part.head.shard;
    merged_.shards.push_back(head);
    merged_.shards.back().replays = part.reports;
    if (head.is_sweep())
      take_plan(part, sweeps, recorded);
    else
      check_cells(part);
  }

  void take(Part &part, const Json &json, std::vector<std::string> &recorded) {
    auto report = from_json(json);
    bool is_older = json["schema_version"] != schema_version;
    if (is_older && !part.rewritten)
      part.rewritten = std::make_shared<Spool>();
    if (part.rewritten)
      part.rewritten->append(document_element(report, part.reports == 0));
    ++part.reports;
    ++merged_.verdicts[report.verdict];
    if (!are_shards_)
      return;
    const auto &head = *part.head.shard;
    if (report.tool_version != head.version)
      merged_.different.push_back(
          fmt::format("{}: a replay in it is by version {}", part.input->path, report.tool_version));
    auto name = cell_name(report);
    if (head.is_sweep() && !report.point_fault) {
      recorded.push_back(name);
      auto [target, is_new] = targets_.try_emplace(
          name, Target{.recording = report, .planned = {}, .planned_by = {}, .planned_by_own = {}});
      if (!is_new)
        add_recording(target->second.recording, report);
      else
        order_.push_back(name);
      return;
    }
    ++cells_[stable_hash(name)];
    if (auto its = shard_of(name, head.shard.count); its != head.shard.index)
      foreign_.push_back(fmt::format("{}: it has a replay that is shard {}'s", part.input->path, its));
  }

  void check_cells(const Part &part) {
    const auto &head = *part.head.shard;
    auto repeat = static_cast<std::size_t>(head.repeat);
    std::size_t too_few = head.cells - std::min(head.cells, cells_.size()), too_many = 0;
    for (auto [cell, times] : cells_)
      (times < repeat ? too_few : too_many) += times % repeat != 0 ? 1 : 0;
    if (too_few > 0 || part.reports < head.replays)
      merged_.incomplete.push_back(fmt::format(
          "shard {} of {} has not come to its end: {} has {} of {} replays, of {} of {} cells", head.shard.index,
          head.shard.count, part.input->path, part.reports, head.replays, cells_.size(), head.cells));
    else if (too_many > 0 || cells_.size() > head.cells || part.reports > head.replays)
      merged_.different.push_back(fmt::format("{}: has {} replays of {} cells, and said that it would be {} of {}",
                                              part.input->path, part.reports, cells_.size(), head.replays, head.cells));
  }

  /// What this shard knew of all that is to be tried, and whether it has tried its own.
  void take_plan(const Part &part, const Json &sweeps, const std::vector<std::string> &recorded) {
    const auto &shard = part.head.shard->shard;
    auto unfinished = [&](const std::string &how) {
      merged_.incomplete.push_back(fmt::format("shard {} of {} has not come to its end: {}: {}", shard.index,
                                               shard.count, part.input->path, how));
    };
    if (!sweeps.is_array() || sweeps.size() != recorded.size())
      return unfinished("its sweep has no end");
    std::size_t not_tried = 0;
    for (std::size_t i = 0; i < recorded.size(); ++i) {
      auto &target = targets_.at(recorded[i]);
      std::vector<SweptPoint> planned;
      for (const auto &json : list(sweeps[i], "points")) {
        planned.push_back({.point = reports::read<std::string>(json, "point"),
                           .fault = reports::read<std::string>(json, "fault"),
                           .call = "",
                           .reason = ""});
        auto name = cell_name(target.recording, planned.back().point, planned.back().fault);
        auto hash = stable_hash(name);
        ++target.planned_by[hash];
        if (shard_of(name, shard.count) != shard.index)
          continue;
        target.planned_by_own.insert(hash);
        not_tried += read_count(json, "replays") == 0 ? 1 : 0;
      }
      add_planned(target.planned, planned);
    }
    if (not_tried > 0)
      unfinished(fmt::format("{} of its faults at points were not tried", not_tried));
  }

  /// Once more through the documents of sweeps, now that it is known which points there are.
  void sweep() {
    for (const auto &text : foreign_)
      if (merged_.different.size() < most_told)
        merged_.different.push_back(text);
    if (order_.empty())
      return;
    std::map<std::string, std::size_t> places;
    for (const auto &name : order_) {
      auto &target = targets_.at(name);
      tell_differences(target);
      places[name] = merged_.sweeps.size();
      merged_.sweeps.emplace_back(target.recording, target.planned);
    }
    for (const auto &part : parts_)
      reading(*part.input, [&] {
        auto content = part.input->open();
        for_each_report(content, [&](Report report) {
          if (!report.point_fault)
            return;
          auto of = report;
          of.point_fault.reset();
          if (auto found = places.find(cell_name(of)); found != places.end())
            merged_.sweeps[found->second].add(report);
        });
        return 0;
      });
  }

  /// A point that one shard has recorded, and another, whose it is, has not: it was not tried, and is not lost.
  void tell_differences(const Target &target) {
    std::vector<std::string> not_tried;
    std::set<int> there;
    for (const auto &head : merged_.shards)
      there.insert(head.shard.index);
    std::size_t not_in_all = 0;
    for (const auto &point : target.planned) {
      auto name = cell_name(target.recording, point.point, point.fault);
      auto hash = stable_hash(name);
      not_in_all += target.planned_by.at(hash) < static_cast<int>(merged_.shards.size()) ? 1 : 0;
      auto its = shard_of(name, merged_.count);
      if (there.contains(its) && !target.planned_by_own.contains(hash))
        not_tried.push_back(fmt::format("{} at {} (shard {}'s)", point.fault, point.point, its));
    }
    if (not_in_all > 0)
      merged_.notes.push_back(fmt::format("{} of {} faults at points are not in the recording of each shard",
                                          not_in_all, target.planned.size()));
    if (!not_tried.empty())
      merged_.notes.push_back(
          fmt::format("not tried, as the shard whose they are has not recorded them: {}", some_of(not_tried)));
  }

  /// The bytes of the reports as they are, one document after the other.
  static Content document_of(const std::vector<Part> &parts, const DocumentHead &head, const std::string &tail) {
    struct Piece {
      const MergeInput *input; // nullptr: `text`
      std::string text;
      std::shared_ptr<Spool> spool;
      std::size_t from, size;
    };
    struct Document {
      std::vector<Piece> pieces;
      std::vector<std::size_t> starts;
      std::size_t size = 0;
      std::size_t open = 0; // the piece that is read
      std::optional<Content> content;
    };
    auto document = std::make_shared<Document>();
    auto add = [&](Piece piece) {
      if (piece.size == 0)
        return;
      document->starts.push_back(document->size);
      document->size += piece.size;
      document->pieces.push_back(std::move(piece));
    };
    auto add_text = [&](const std::string &text) {
      add({.input = nullptr, .text = text, .spool = nullptr, .from = 0, .size = text.size()});
    };
    add_text(document_head(head));
    bool is_first = true;
    for (const auto &part : parts) {
      if (part.reports == 0)
        continue;
      if (!is_first)
        add_text(",");
      is_first = false;
      if (part.rewritten)
        add({.input = nullptr,
             .text = "",
             .spool = part.rewritten,
             .from = 0,
             .size = part.rewritten->content().size()});
      else
        add({.input = part.input,
             .text = "",
             .spool = nullptr,
             .from = part.place.from,
             .size = part.place.to - part.place.from});
    }
    add_text(tail);
    return {document->size, [document](std::size_t place) {
              auto next = std::upper_bound(document->starts.begin(), document->starts.end(), place);
              auto at = static_cast<std::size_t>(next - document->starts.begin()) - 1;
              const auto &piece = document->pieces[at];
              if (!document->content || document->open != at) {
                document->content.reset();
                document->content.emplace(piece.input   ? piece.input->open()
                                          : piece.spool ? piece.spool->content()
                                                        : Content(piece.text));
                document->open = at;
              }
              auto within = place - document->starts[at];
              return document->content->piece_at(piece.from + within).substr(0, piece.size - within);
            }};
  }

  std::vector<Part> parts_;
  Merged merged_;
  bool are_shards_ = false;
  std::unordered_map<std::uint64_t, std::size_t> cells_; // of the document that is read: how many replays
  std::map<std::string, Target> targets_;                // of sweeps
  std::vector<std::string> order_;                       // of their names
  std::vector<std::string> foreign_;
};

} // namespace

Merged merge(const std::vector<MergeInput> &inputs) { return Merging(inputs).run(); }

} // namespace pidleak::reports

#include "reports/shard.hpp"

#include "harness/base/stable_hash.hpp"
#include "reports/json_members.hpp"

#include <sys/utsname.h>

#include <fstream>

namespace pidleak::reports {
namespace {

/// PRETTY_NAME of os-release(5); empty: none.
std::string distribution_here() {
  for (const char *path : {"/etc/os-release", "/usr/lib/os-release"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
      if (constexpr std::string_view key = "PRETTY_NAME="; line.starts_with(key)) {
        line.erase(0, key.size());
        std::erase(line, '"');
        return line;
      }
  }
  return "";
}

} // namespace

int shard_of(const std::string &name, int count) {
  return static_cast<int>(stable_hash(name) % static_cast<std::uint64_t>(count)) + 1;
}

bool Shard::owns(const std::string &name) const { return shard_of(name, count) == index; }

std::string Shard::text() const { return fmt::format("shard {} of {} ({})", index, count, printable(by)); }

std::string cell_name(const Report &report) {
  auto name = fmt::format("{}\n{}\n", report.scenario, report.pool);
  if (report.conditions.contains("start-method")) // a server has as many workers as it has, which shows in the replay
    name += fmt::format("{}\n", report.workers);
  for (const auto &[condition, word] : report.conditions)
    name += fmt::format("{}={}\n", condition, word);
  return report.point_fault ? fmt::format("{}{} {}\n", name, report.point_fault->point, report.point_fault->fault)
                            : name;
}

std::string cell_name(const Report &report, const std::string &point, const std::string &fault) {
  Report of;
  of.scenario = report.scenario;
  of.pool = report.pool;
  of.workers = report.workers;
  of.conditions = report.conditions;
  of.point_fault = PointFault{.point = point, .fault = fault, .birth = {}, .reached = false, .call = ""};
  return cell_name(of);
}

void sign(ShardHead &head) {
  utsname names{};
  ::uname(&names);
  head.version = PIDLEAK_VERSION;
  head.machine = names.nodename;
  head.kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
  head.distribution = distribution_here();
}

Json to_json(const ShardHead &head) {
  return {{"index", head.shard.index},
          {"count", head.shard.count},
          {"by", as_utf8(head.shard.by)},
          {"verb", as_utf8(head.verb)},
          {"version", as_utf8(head.version)},
          {"plan", as_utf8(head.plan)},
          {"cells", head.cells},
          {"repeat", head.repeat},
          {"replays", head.replays},
          {"machine", as_utf8(head.machine)},
          {"kernel", as_utf8(head.kernel)},
          {"distribution", as_utf8(head.distribution)}};
}

ShardHead shard_head_from_json(const Json &json) {
  if (!json.is_object())
    throw std::invalid_argument("\"shard\" is not an object");
  ShardHead head{.shard = {.index = read_number<int>(json, "index", 1),
                           .count = read_number<int>(json, "count", 1),
                           .by = read<std::string>(json, "by")},
                 .verb = read<std::string>(json, "verb"),
                 .version = read<std::string>(json, "version"),
                 .plan = read<std::string>(json, "plan"),
                 .cells = read_number<std::size_t>(json, "cells"),
                 .repeat = read_number<int>(json, "repeat", 1),
                 .replays = read_number<std::size_t>(json, "replays"),
                 .machine = read<std::string>(json, "machine"),
                 .kernel = read<std::string>(json, "kernel"),
                 .distribution = read<std::string>(json, "distribution")};
  if (head.shard.index > head.shard.count)
    throw std::invalid_argument("report: \"index\" of its shard is out of range");
  return head;
}

void HeadReader::take(const std::string &name, const Json &value) {
  if (name == "shard")
    head.shard = shard_head_from_json(value);
  if (name == "shards" && value.is_array())
    for (const auto &one : value)
      head.merged.push_back(shard_head_from_json(one));
}

void HeadReader::label(Report &report) {
  while (place_ < head.merged.size() && labelled_ == head.merged[place_].replays) {
    ++place_;
    labelled_ = 0;
  }
  ++labelled_;
  const auto *its = head.shard ? &*head.shard : place_ < head.merged.size() ? &head.merged[place_] : nullptr;
  if (!its)
    return;
  report.machine = its->machine;
  report.distribution = its->distribution;
}

} // namespace pidleak::reports

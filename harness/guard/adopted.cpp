#include "harness/guard/adopted.hpp"

#include <algorithm>

namespace pidleak::guard {
namespace {

constexpr std::size_t most_groups = 1000; // a service of weeks may have had any number: the others are one group

} // namespace

void Adopted::note(pid_t pid, const census::Genealogy &genealogy) {
  auto orphan = genealogy.orphan(pid);
  std::tuple key(orphan.name, orphan.creator, orphan.ended_first);
  if (counts_.size() >= most_groups && !counts_.contains(key))
    key = {};
  ++counts_[key];
}

std::vector<reports::AdoptedGroup> Adopted::groups() const {
  std::vector<reports::AdoptedGroup> groups;
  for (const auto &[key, count] : counts_) {
    const auto &[name, creator, ended_first] = key;
    groups.push_back({.name = name, .created_by = creator, .never_waited_for = ended_first, .count = count});
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto &a, const auto &b) { return a.count > b.count; });
  return groups;
}

} // namespace pidleak::guard

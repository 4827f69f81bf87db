#include "harness/replay/leftovers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace pidleak::replay {

namespace fs = std::filesystem;
using reports::Evidence;

namespace {

constexpr std::size_t most_told = 6, most_facts = 100;

} // namespace

Leftovers::Leftovers(const Inside &inside, std::vector<std::string> directories)
    : inside_(inside), directories_(std::move(directories)), before_(look()) {}

/// By words for people. Shared memory only where it is this replay's alone.
std::set<std::string> Leftovers::look() const {
  std::set<std::string> found;
  auto add_files = [&](const std::string &directory, auto &&is_wanted) {
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator(directory, ignored))
      if (entry.path() != inside_.scratch && is_wanted(entry))
        found.insert(entry.is_socket(ignored) ? fmt::format("socket {}", entry.path().string())
                                              : entry.path().string());
  };
  auto any = [](const auto &) { return true; };
  add_files(inside_.scratch + "/tmp", any);
  for (const auto &directory : directories_) // logs and databases belong there
    add_files(directory, [](const fs::directory_entry &entry) {
      std::error_code ignored;
      return entry.is_socket(ignored) || entry.path().extension() == ".pid";
    });
  if (inside_.boundary.own_shared_memory)
    add_files("/dev/shm", any);
  if (!inside_.own_network) // and IPC
    return found;
  for (const char *kind : {"shm", "sem", "msg"}) { // sysvipc(7), proc_sysvipc(5): a line of titles, then one each
    std::ifstream lines(fmt::format("/proc/sysvipc/{}", kind));
    std::string line, key, id;
    for (std::getline(lines, line); lines >> key >> id && std::getline(lines, line);)
      found.insert(fmt::format("System V {} {}", kind, id));
  }
  return found;
}

std::optional<Evidence> Leftovers::show() const {
  std::vector<std::string> come;
  for (const auto &one : look())
    if (!before_.contains(one))
      come.push_back(one);
  if (come.empty())
    return {};
  auto told = come.begin() + static_cast<long>(std::min(come.size(), most_told));
  Evidence evidence{.condition = "stays",
                    .shown = true,
                    .text = fmt::format("also left: {}", fmt::join(come.begin(), told, ", ")),
                    .facts = {}};
  if (told != come.end())
    evidence.text += fmt::format(" and {} more", come.end() - told);
  for (std::size_t i = 0; i < come.size() && i < most_facts; ++i)
    evidence.facts[fmt::format("{}", i + 1)] = come[i];
  return evidence;
}

} // namespace pidleak::replay

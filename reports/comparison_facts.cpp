#include "reports/comparison_facts.hpp"

#include "harness/base/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace pidleak::reports {
namespace {

constexpr double worth_telling_s = 0.05; // for the last of them to leave

std::string fact(const Evidence &evidence, const std::string &name) {
  auto found = evidence.facts.find(name);
  return found == evidence.facts.end() ? "" : printable(found->second);
}

std::string who_waits(const Evidence &held_up) {
  auto workers = fact(held_up, "workers");
  bool has_master = fact(held_up, "master") == "1";
  if (workers == "0" || workers.empty())
    return has_master ? "the master waits for the request" : "";
  auto who = fmt::format("{} worker{}", workers, workers == "1" ? "" : "s");
  return has_master ? fmt::format("the master and {} wait for the request", who)
                    : fmt::format("{} wait{} for the request", who, workers == "1" ? "s" : "");
}

/// Of the workers: what the master does is in the verdict.
std::string when_left(const Evidence &left) {
  double last = 0;
  int workers = 0;
  for (const auto &[name, text] : left.facts)
    if (name.starts_with("worker ") && name.ends_with(" s")) {
      ++workers;
      last = std::max(last, std::strtod(text.c_str(), nullptr));
    }
  return last < worth_telling_s ? ""
                                : fmt::format("{} worker{} left within {:.1f} s of {}", workers,
                                              workers == 1 ? "" : "s", last, fact(left, "since"));
}

std::string who_serves(const Evidence &serves) {
  if (fact(serves, "answered") == "0")
    return "no process answers";
  auto pids = fact(serves, "pids");
  auto count = pids.empty() ? 0 : 1 + std::count(pids.begin(), pids.end(), ' ');
  return count == 0 ? "requests are still answered"
                    : fmt::format("{} process{} still answer{}", count, count == 1 ? "" : "es", count == 1 ? "s" : "");
}

std::string who_holds(const Evidence &port) {
  std::string text;
  for (const auto &[address, pids] : port.facts) {
    auto count = 1 + std::count(pids.begin(), pids.end(), ' ');
    text += fmt::format("{}{} is held by {} process{}", text.empty() ? "" : ", ", printable(address), count,
                        count == 1 ? "" : "es");
  }
  return text;
}

std::string what_became(bool replaced, bool zombie) {
  if (replaced)
    return zombie ? "the dead worker stays a zombie" : "";
  return zombie ? "the worker is not replaced, and stays a zombie" : "the worker is not replaced";
}

std::string told_of(const Evidence &evidence) {
  const auto &what = evidence.condition;
  if (what == "held-up")
    return who_waits(evidence);
  if (what == "left")
    return when_left(evidence);
  if (what == "request")
    return fact(evidence, "request") == "dropped" ? "the request was dropped" : "";
  if (what == "serves")
    return who_serves(evidence);
  if (what == "port")
    return who_holds(evidence);
  if (what == "started-again")
    return fact(evidence, "up") == "yes" ? "it comes up again" : "it does not come up again";
  if (what == "replaced")
    return what_became(fact(evidence, "replaced") == "yes", fact(evidence, "zombie") == "yes");
  return what == "stays" ? printable(evidence.text) : "";
}

} // namespace

std::string time_of(const Cell &cell) {
  for (const auto &tally : cell)
    if (auto median = median_ms(tally))
      return *median < 10000 ? fmt::format("{:.0f} ms", *median) : fmt::format("{:.1f} s", *median / 1000);
  return "";
}

std::vector<std::string> facts_of(const Cell &cell) {
  std::vector<std::string> facts;
  for_each_ending(cell, [&](const Ending &ending) {
    for (const auto &evidence : ending.first.evidence)
      if (auto text = told_of(evidence); !text.empty() && std::find(facts.begin(), facts.end(), text) == facts.end())
        facts.push_back(std::move(text));
  });
  return facts;
}

std::vector<std::string> notices_of(const Comparison &comparison) {
  std::vector<std::string> row(comparison.pools.size(), "-");
  bool is_known = false;
  for (const auto &line : comparison.rows)
    for (std::size_t c = 0; c < line.cells.size(); ++c)
      for_each_ending(line.cells[c], [&](const Ending &ending) {
        for (const auto &evidence : ending.first.evidence)
          if (evidence.condition == "notices" && evidence.facts.contains("how")) {
            row[c] = fact(evidence, "how");
            is_known = true;
          }
      });
  return is_known ? row : std::vector<std::string>();
}

} // namespace pidleak::reports

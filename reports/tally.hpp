// Replays counted as they come, by what came of them: what the tables, the texts and the page show of ten thousand is
// no more than of one, and takes no more memory.
#pragma once

#include "reports/report.hpp"

#include <cstdint>
#include <unordered_map>
#include <utility>

namespace pidleak::reports {

/// Replays of one scenario on one pool under the same conditions that came to the same end: verdict, counts, reason,
/// and of which kind and why the processes are that remain. Pids and times may differ.
struct Ending {
  Report first;
  std::size_t place = 0; // of the first, among those of its tally, from 1
  std::size_t count = 0;
};

/// All replays of one scenario on one pool under the same conditions, on one machine as far as that is known.
struct Tally {
  struct Replay {
    std::uint32_t ending;
    float total_ms;
  };
  std::vector<Ending> endings; // in order of appearance
  std::vector<Replay> replays; // in order

  const Report &first() const { return endings.front().first; }
};

class Tallies {
public:
  Tallies() = default;
  Tallies(const std::vector<Report> &reports); // NOLINT(google-explicit-constructor): the same, counted
  Tallies(std::initializer_list<Report> reports) : Tallies(std::vector<Report>(reports)) {}

  void add(const Report &report);
  /// In order of appearance.
  const std::vector<Tally> &all() const { return all_; }

private:
  std::vector<Tally> all_;
  std::unordered_map<std::string, std::size_t> places_;                           // of tallies, in all_
  std::vector<std::unordered_map<std::string, std::uint32_t>> places_of_endings_; // a map for each tally
};

/// Two replays that have the same are counted together: scenario, pool, workers, conditions, and the machine.
std::string kind_of_replay(const Report &report);
/// Two endings that have the same, in whatever tallies, are told by one text.
std::string kind_of_ending(const Report &report);

/// Each verdict and how often it came, in order of appearance.
std::vector<std::pair<Verdict, std::size_t>> verdicts_of(const Tally &tally);
/// The first ending with this verdict, of those where a process remains if there are any. There must be one.
const Ending &first_with(Verdict verdict, const Tally &tally);
/// The verdict that decides over the exit status.
Verdict worst_of(const Tally &tally);
/// How often each verdict came in all of them, in order of appearance.
std::vector<std::pair<Verdict, std::size_t>> verdicts_of(const Tallies &tallies);
/// Milliseconds; nothing: none of them ran.
std::optional<double> median_ms(const Tally &tally);

} // namespace pidleak::reports

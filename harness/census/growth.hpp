// Which processes become more and more while a service runs: samples of its tree in, growth out. No clock and no /proc
// in here.
//
//   samples    ▁▁▁▂▂▂▂▃▃▃▃▃▅▅▅▅▆▆▆▆▇▇▇▇▇▇███      a group's number, as it rises and falls
//   quarters   └── 1 ─┘└── 2 ──┘└── 3 ──┘└─ 4 ─┘     its least in each: all greater than the one before
//
// A group is what one process has started and has one name. It accumulates if in some window its floor has risen from
// quarter to quarter, and a process that started in each of the first three was still there at the end; and the time
// since the window ended is at most its length, so that a service that starts nothing for a moment still leaks. So
// neither a pool that was filled once and stays as it is accumulates, nor one that replaces its workers, nor any number
// of short-lived processes. The shortest window has 64 samples, each other twice as many as the one before: a leak is
// seen after 64 samples at the earliest, and a slow one among many that come and go once there are some of it in every
// quarter.
//
// A pool that is still being filled after 64 samples, or that grows with its load for as long, is not told from a leak.
#pragma once

#include "harness/census/remaining.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pidleak::census {

/// `worker-#`: names that differ in a number alone are one.
std::string without_numbers(const std::string &comm);

/// With fewer nothing is known of growth.
constexpr int fewest_looks = 64;

/// A group that accumulates. Times are milliseconds.
struct GrowingGroup {
  pid_t starter = 0; // who has started it; a living process
  std::uint64_t starter_ticks = 0;
  std::string starter_comm;
  std::string comm;             // the name of them, or of one of them where they differ in a number
  int from = 0;                 // the least of them in the window's first quarter
  int now = 0;                  // how many there are
  int zombies = 0;              // of these
  int seen = 0;                 // all that there ever were since the group came up
  int ended = 0;                // of these
  double since_ms = 0;          // when the group came up, after the first look
  double over_ms = 0;           // from the window's beginning up to now: of the longest in which the floor rises
  double per_hour = 0;          // how many more they become
  RemainingProcess oldest = {}; // that started in the window; as far as the look tells of it
};

/// What came of watching.
struct Growth {
  int looks = 0;
  double watched_ms = 0;            // from the first look to the last
  int processes = 0;                // at the last look, without the first process of all
  int zombies = 0;                  // of these
  std::vector<GrowingGroup> groups; // those that accumulate now
};

/// The least of every 2^level values in a row, for each level; of each level the last 64. Before the first comes 0.
class Floors {
public:
  static constexpr std::uint64_t kept = fewest_looks;

  /// `number`: of the look, from 0; one after the other.
  void add(std::uint64_t number, double value);
  /// The least of each quarter of the last 64 points.
  std::array<double, 4> quarters(std::size_t level) const;
  /// The first of the last 64 points.
  double first(std::size_t level) const;

private:
  std::vector<std::deque<double>> levels_;
};

/// All looks at the tree of one root. Memory: some KiB for each group that has a member, however long it watches.
class History {
public:
  /// `root`: the service's first process, whose starter is of no interest.
  explicit History(pid_t root) : root_(root) {}

  /// `members`: all processes at that time, the root included. `at_ms` never goes back.
  void add(double at_ms, const std::vector<Member> &members);

  Growth growth() const;

private:
  using Identity = std::pair<pid_t, std::uint64_t>; // pid and start_ticks
  using Name = std::pair<Identity, std::string>;    // of a group: the starter, and what all of its names have in common

  struct Process {
    Member member;
    Identity starter;
    std::uint64_t first = 0; // the look at which it was met
    Name group = {};
  };
  struct Rise {
    double from = 0, from_ms = 0;
    std::uint64_t holds_until = 0; // so many looks
    Member oldest = {};
  };
  struct Group {
    Floors counts = {};
    double since_ms = 0;
    int seen = 0;
    std::vector<const Process *> members = {};
    std::optional<Rise> rise = {};
  };

  void take_in(const std::vector<Member> &members, Identity root);
  void sort_into_groups(Identity root);
  std::optional<Rise> rise_of(const Group &group) const;
  static int zombies_among(const std::vector<const Process *> &processes);
  GrowingGroup describe(const Name &name, const Group &group, const Rise &rise) const;

  pid_t root_;
  std::uint64_t looks_ = 0;
  double started_ms_ = 0, now_ms_ = 0;
  Floors times_; // when each block of looks began
  std::map<Identity, Process> processes_;
  std::map<Name, Group> groups_;
};

} // namespace pidleak::census

// Watching a tree while its service runs: a look now and then, and word when something is found to accumulate.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/census/growth.hpp"
#include "harness/guard/guard.hpp"

#include <map>
#include <string>
#include <utility>

namespace pidleak::guard {

class Watch {
public:
  /// Everything about these, and why they are there. `all`: they are all that there are. Takes a moment for each.
  using Explain = std::function<std::vector<census::RemainingProcess>(const std::vector<census::Member> &, bool all)>;
  /// As Listener::grows.
  using Tell = std::function<void(reports::Report &, const std::vector<std::size_t> &news)>;

  /// `root`: the service's first process. The first look is due at once.
  Watch(pid_t root, milliseconds every, const Tell &tell, Explain explain);

  /// When the next look is due.
  Deadline next() const { return next_; }

  /// `members`: all processes, the root included. Tells of groups that accumulate: of each once, and again when it has
  /// doubled. `so_far` is completed and handed on.
  void look(const std::vector<census::Member> &members, reports::Report so_far);

  /// A look that could not be taken: it is lost, and the next one is due in its turn. How many there were so far.
  int miss();

  /// What accumulated at the last look goes into the report: that is `leaked` then. If nothing did, the reason says of
  /// how many looks, and what accumulated earlier.
  void conclude(reports::Report &report) const;

private:
  using Group = std::pair<std::pair<pid_t, std::uint64_t>, std::string>;
  static Group key_of(const census::GrowingGroup &group);

  void explain_oldest(census::Growth &growth, const std::vector<census::Member> &members) const;

  milliseconds every_;
  const Tell &tell_;
  Explain explain_;
  Clock::time_point started_ = Clock::now();
  Deadline next_ = Deadline::at(started_);
  census::History history_;
  int missed_ = 0;
  std::map<Group, census::GrowingGroup> told_; // as they were told last
};

} // namespace pidleak::guard

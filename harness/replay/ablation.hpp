// Which of a scenario's conditions does it take? Each is switched off and on, in every combination, and what that does
// to the verdict is all that is ever claimed.
#pragma once

#include "harness/replay/scenario.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// A condition of the scenario that can be switched off: one that differs from its neutral word.
struct Link {
  std::string name; // `sigterm handler`
  std::function<void(Conditions &)> switch_off;
};

/// The links of a scenario, in the order of the conditions. Start method, workers and the race are no links: they stay
/// as they are.
std::vector<Link> links_of(const Conditions &conditions);

/// What came of one combination, or one cure.
enum class Outcome {
  clean,
  stays,     // leaked or hung, in every replay
  sometimes, // leaked or hung in some: then a race decides, and nothing is concluded from it
  unknown    // skipped, invalid or broken: nothing is concluded from it either
};

/// A set of links is a bit mask: bit i stands for link i being on.
using LinkSet = unsigned;

struct Trial {
  LinkSet on = 0;
  std::vector<reports::Report> replays;
  Outcome outcome() const;
};

/// The conditions with those links off that are not in `on`.
Conditions with_links(Conditions conditions, const std::vector<Link> &links, LinkSet on);

/// The sets of links that are enough, and of which no subset is: only those of which every subset was seen to be clean
/// are told.
std::vector<LinkSet> minimal_sets(const std::vector<Trial> &trials);

/// Links that were never seen to matter: whatever the others were, switching it changed nothing, and at least one such
/// pair had both outcomes known.
LinkSet links_that_do_not_matter(const std::vector<Trial> &trials, std::size_t links);

/// What is said to help, tried on the whole scenario.
struct Cure {
  std::string name; // `signals reset by an initializer`
  std::function<void(Conditions &)> apply;
};
std::vector<Cure> cures_for(const Conditions &conditions);

/// The findings in words, one a line.
std::vector<std::string> conclude(const std::vector<Link> &links, const std::vector<Trial> &trials);

} // namespace pidleak::replay

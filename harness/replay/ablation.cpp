#include "harness/replay/ablation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <set>

namespace pidleak::replay {

using reports::Verdict;

namespace {

const Trial *find(const std::vector<Trial> &trials, LinkSet on) {
  auto found = std::find_if(trials.begin(), trials.end(), [&](const Trial &trial) { return trial.on == on; });
  return found == trials.end() ? nullptr : &*found;
}

bool is_subset(LinkSet a, LinkSet b) { return (a & b) == a; }

std::string spell_set(const std::vector<Link> &links, LinkSet set, const char *between) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < links.size(); ++i)
    if (set >> i & 1)
      names.push_back(links[i].name);
  return fmt::to_string(fmt::join(names, between));
}

/// `leaked`, `hung`, `leaked or hung`
std::string verdicts_of(const Trial &trial) {
  std::set<std::string> words;
  for (const auto &report : trial.replays)
    words.insert(spell(report.verdict));
  return fmt::to_string(fmt::join(words, " or "));
}

} // namespace

std::vector<Link> links_of(const Conditions &conditions) {
  std::vector<Link> links;
  auto add = [&]<class E>(const char *name, E Conditions::*member) {
    if (conditions.*member != Conditions{}.*member)
      links.push_back({.name = fmt::format("{} {}", name, spell(conditions.*member)),
                       .switch_off = [member](Conditions &c) { c.*member = Conditions{}.*member; }});
  };
  add("death", &Conditions::death);
  add("victim", &Conditions::victim);
  add("sigterm", &Conditions::sigterm);
  add("handler-registered", &Conditions::handler_registered);
  add("queue", &Conditions::queue);
  add("tasks", &Conditions::tasks);
  add("death-point", &Conditions::death_point);
  return links;
}

Outcome Trial::outcome() const {
  std::size_t clean = 0, stays = 0;
  for (const auto &report : replays) {
    clean += report.verdict == Verdict::clean;
    stays += report.verdict == Verdict::leaked || report.verdict == Verdict::hung;
  }
  if (replays.empty() || clean + stays < replays.size())
    return Outcome::unknown;
  return stays == 0 ? Outcome::clean : clean == 0 ? Outcome::stays : Outcome::sometimes;
}

Conditions with_links(Conditions conditions, const std::vector<Link> &links, LinkSet on) {
  for (std::size_t i = 0; i < links.size(); ++i)
    if (!(on >> i & 1))
      links[i].switch_off(conditions);
  return conditions;
}

std::vector<LinkSet> minimal_sets(const std::vector<Trial> &trials) {
  std::vector<LinkSet> minimal;
  for (const auto &trial : trials) {
    bool is_minimal =
        trial.outcome() == Outcome::stays && std::all_of(trials.begin(), trials.end(), [&](const Trial &other) {
          return other.on == trial.on || !is_subset(other.on, trial.on) || other.outcome() == Outcome::clean;
        });
    if (is_minimal)
      minimal.push_back(trial.on);
  }
  return minimal;
}

LinkSet links_that_do_not_matter(const std::vector<Trial> &trials, std::size_t links) {
  LinkSet irrelevant = 0;
  for (std::size_t i = 0; i < links; ++i) {
    LinkSet bit = 1U << i;
    bool seen = false, matters = false;
    for (const auto &trial : trials) {
      const auto *without = trial.on & bit ? find(trials, trial.on & ~bit) : nullptr;
      if (!without || trial.outcome() == Outcome::unknown || without->outcome() == Outcome::unknown)
        continue;
      seen = true;
      matters = matters || trial.outcome() != without->outcome();
    }
    if (seen && !matters)
      irrelevant |= bit;
  }
  return irrelevant;
}

std::vector<Cure> cures_for(const Conditions &conditions) {
  std::vector<Cure> cures = {
      {"signals reset by an initializer", [](Conditions &c) { c.signal_reset = SignalReset::initializer; }},
      {"workers ended with SIGKILL", [](Conditions &c) { c.terminate = Terminate::sigkill; }},
      {"a call queue with room for every task", [](Conditions &c) { c.queue_slots = QueueSlots::plenty; }}};
  if (conditions.start_method == StartMethod::fork)
    cures.push_back({"start method spawn", [](Conditions &c) { c.start_method = StartMethod::spawn; }});
  return cures;
}

std::vector<std::string> conclude(const std::vector<Link> &links, const std::vector<Trial> &trials) {
  std::vector<std::string> lines;
  auto all_on = (1U << links.size()) - 1;
  const auto *whole = find(trials, all_on);
  for (LinkSet set : minimal_sets(trials)) {
    auto verdict = verdicts_of(*find(trials, set));
    if (set == 0)
      lines.push_back(fmt::format("{} even with every link switched off: none of them is the cause", verdict));
    else
      lines.push_back(fmt::format("{}: needs {}; without {} it is clean", verdict, spell_set(links, set, " AND "),
                                  std::popcount(set) == 1 ? "it" : "any one of them"));
  }
  if (auto irrelevant = links_that_do_not_matter(trials, links.size()); irrelevant != 0 && !lines.empty())
    lines.push_back(fmt::format("{} {} not matter: switching it changed no verdict", spell_set(links, irrelevant, ", "),
                                std::popcount(irrelevant) == 1 ? "does" : "do"));
  if (whole && whole->outcome() == Outcome::clean && lines.empty())
    lines.emplace_back("clean with every link on: there is nothing to explain");
  auto count = [&](Outcome outcome) {
    return std::count_if(trials.begin(), trials.end(), [&](const Trial &t) { return t.outcome() == outcome; });
  };
  if (auto unknown = count(Outcome::unknown))
    lines.push_back(fmt::format("{} of {} combinations could not be judged, and nothing is concluded from them",
                                unknown, trials.size()));
  if (auto sometimes = count(Outcome::sometimes))
    lines.push_back(fmt::format("{} of {} combinations differed from replay to replay: a race decides there", sometimes,
                                trials.size()));
  if (lines.empty())
    lines.emplace_back("no cause was seen to switch the outcome");
  return lines;
}

} // namespace pidleak::replay

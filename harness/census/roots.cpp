#include "harness/census/roots.hpp"

#include <algorithm>
#include <unordered_map>

namespace pidleak::census {
namespace {

using Place = std::size_t;
using Edges = std::vector<std::vector<Place>>;

/// From each process to those that it waits for.
Edges edges_among(const std::vector<const RemainingProcess *> &processes) {
  std::unordered_map<pid_t, Place> places;
  for (Place i = 0; i < processes.size(); ++i)
    places.emplace(processes[i]->pid, i);
  Edges edges(processes.size());
  for (Place i = 0; i < processes.size(); ++i)
    for (pid_t pid : waits_for(*processes[i]))
      if (auto place = places.find(pid); place != places.end())
        edges[i].push_back(place->second);
  return edges;
}

Edges reversed(const Edges &edges) {
  Edges back(edges.size());
  for (Place from = 0; from < edges.size(); ++from)
    for (Place to : edges[from])
      back[to].push_back(from);
  return back;
}

/// `start`, and all that can be reached from there, the nearest first; without those that `seen` has, to which they are
/// added.
std::vector<Place> reached(const Edges &edges, Place start, std::vector<bool> &seen) {
  std::vector<Place> found = {start};
  seen[start] = true;
  for (Place next = 0; next < found.size(); ++next)
    for (Place to : edges[found[next]])
      if (!seen[to]) {
        seen[to] = true;
        found.push_back(to);
      }
  return found;
}

/// In an order in which what a process waits for is finished before it, as far as there is no circle.
std::vector<Place> finished_first(const Edges &edges) {
  std::vector<Place> order;
  std::vector<bool> seen(edges.size());
  struct Visit {
    Place place, next = 0;
  };
  for (Place start = 0; start < edges.size(); ++start) {
    if (seen[start])
      continue;
    seen[start] = true;
    std::vector<Visit> path = {{start}};
    while (!path.empty()) {
      auto &[place, next] = path.back();
      if (next == edges[place].size()) {
        order.push_back(place);
        path.pop_back();
      } else if (Place to = edges[place][next++]; !seen[to]) {
        seen[to] = true;
        path.push_back({to});
      }
    }
  }
  return order;
}

} // namespace

std::vector<pid_t> waits_for(const RemainingProcess &process) {
  std::vector<pid_t> all;
  for (const auto &finding : process.diagnosis)
    for (pid_t pid : finding.waits_for)
      if (std::find(all.begin(), all.end(), pid) == all.end())
        all.push_back(pid);
  return all;
}

void find_roots(std::vector<RemainingProcess> &remaining) {
  std::vector<const RemainingProcess *> all;
  for (const auto &process : remaining)
    all.push_back(&process);
  auto edges = edges_among(all);
  auto back = reversed(edges);
  auto order = finished_first(edges);
  // Kosaraju: from the last to be finished, against the edges, each circle is found as a whole.
  std::vector<bool> seen(all.size());
  std::vector<Place> circle_of(all.size());
  for (auto start = order.rbegin(); start != order.rend(); ++start)
    if (!seen[*start])
      for (Place place : reached(back, *start, seen))
        circle_of[place] = *start;
  std::vector<bool> waits_for_others(all.size()); // of circles
  for (Place from = 0; from < edges.size(); ++from)
    for (Place to : edges[from])
      if (circle_of[to] != circle_of[from])
        waits_for_others[circle_of[from]] = true;
  for (Place place = 0; place < all.size(); ++place)
    remaining[place].is_root = !waits_for_others[circle_of[place]];
}

void order_by_roots(std::vector<RemainingProcess> &remaining) {
  std::vector<const RemainingProcess *> all;
  for (const auto &process : remaining)
    all.push_back(&process);
  auto back = reversed(edges_among(all));
  std::vector<bool> seen(all.size());
  std::vector<RemainingProcess> ordered;
  auto add = [&](Place start) {
    for (Place place : reached(back, start, seen))
      ordered.push_back(std::move(remaining[place]));
  };
  for (Place place = 0; place < seen.size(); ++place)
    if (!seen[place] && all[place]->is_root)
      add(place);
  for (Place place = 0; place < seen.size(); ++place) // of a report that was taken apart, what has no root in it
    if (!seen[place])
      add(place);
  remaining = std::move(ordered);
}

} // namespace pidleak::census

#include "harness/sweep/faults_to_try.hpp"

#include "harness/base/stable_hash.hpp"

#include <algorithm>

namespace pidleak::sweep {

using replay::PointFault;
using tracing::Fault;
using tracing::FaultKind;
using tracing::Point;
using tracing::Role;
using tracing::When;

namespace {

bool includes(const Choice &choice, const tracing::Actor &actor) {
  return std::any_of(choice.actors.begin(), choice.actors.end(), [&](const tracing::Actor &wanted) {
    bool all_of_them = actor.role == Role::helper || actor.role == Role::child;
    return wanted == actor || (all_of_them && wanted == tracing::Actor{.role = actor.role});
  });
}

/// The faults that `word` stands for at this point.
std::vector<Fault> faults_of(const std::string &word, const Point &point, const std::string &about) {
  const auto &occurrence = point.place.occurrence;
  auto fault = tracing::parse_fault(word);
  if (fault && fault->kind != FaultKind::errno_)
    return {*fault};
  std::vector<Fault> faults;
  if (occurrence.when == When::entry)
    for (int error : tracing::errors_of(occurrence.name, about))
      if (!fault || fault->error == error)
        faults.push_back({.kind = FaultKind::errno_, .error = error});
  return faults;
}

/// By the names of the points: where another recording has one more or less, that one alone changes, and so shards
/// agree.
std::vector<PointFault> sample_of(std::vector<PointFault> all, int sample) {
  auto wanted = static_cast<std::size_t>(sample);
  if (sample <= 0 || wanted >= all.size())
    return all;
  auto rank = [](const PointFault &fault) { return stable_hash(to_text(fault.point) + " " + to_text(fault.fault)); };
  std::vector<std::uint64_t> ranks;
  for (const auto &fault : all)
    ranks.push_back(rank(fault));
  std::nth_element(ranks.begin(), ranks.begin() + sample, ranks.end());
  std::erase_if(all,
                [&, first_left_out = ranks[wanted]](const PointFault &fault) { return rank(fault) >= first_left_out; });
  return all;
}

} // namespace

replay::Plan recording_of(replay::Plan plan) {
  plan.scenario.conditions.death = Death::none;
  plan.record = true;
  return plan;
}

replay::Plan recording_of_one(replay::Plan plan, const tracing::Birth &only) {
  plan = recording_of(std::move(plan));
  plan.record_only = only;
  return plan;
}

bool is_wanted(const std::string &actor, const Choice &choice) {
  auto parsed = tracing::parse_actor(actor);
  return parsed && includes(choice, *parsed);
}

replay::Plan with_fault(replay::Plan plan, PointFault fault) {
  plan.scenario.conditions.death = Death::none;
  plan.scenario.must_show = {replay::MustShow::sigterm, replay::MustShow::fault}; // its own fault does not come
  plan.point_fault = std::move(fault);
  return plan;
}

std::vector<PointFault> faults_to_try(const reports::Report &recording, const Choice &choice) {
  std::vector<PointFault> all;
  for (const auto &word : choice.faults)
    for (const auto &process : recording.recording) {
      bool is_leaving = false; // after exit_group(2) no signal changes anything
      for (const auto &recorded : process.points) {
        auto point = tracing::parse_point(recorded.point);
        if (!point || !includes(choice, point->actor))
          continue;
        const auto &occurrence = point->place.occurrence;
        if (is_leaving && !occurrence.when)
          continue;
        is_leaving = is_leaving || occurrence.name == "exit_group";
        if (!choice.steps.empty() &&
            std::find(choice.steps.begin(), choice.steps.end(), point->place.step) == choice.steps.end())
          continue;
        if (!choice.point.empty() && choice.point != recorded.point)
          continue;
        for (const auto &fault : faults_of(word, *point, recorded.about))
          all.push_back({.point = *point, .birth = process.birth, .fault = fault});
      }
    }
  return sample_of(std::move(all), choice.sample);
}

std::optional<PointFault> fault_at(const reports::Report &recording, const Point &point, const Fault &fault) {
  for (const auto &process : recording.recording)
    if (process.actor == to_text(point.actor))
      return PointFault{.point = point, .birth = process.birth, .fault = fault};
  return {};
}

} // namespace pidleak::sweep

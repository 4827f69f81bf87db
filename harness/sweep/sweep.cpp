#include "harness/sweep/sweep.hpp"

#include "harness/os/end_requests.hpp"

#include <algorithm>
#include <set>

namespace pidleak::sweep {

using replay::Plan;
using replay::PointFault;
using reports::Report;

namespace {

/// Whether it is a replay of this plan, whatever its fault.
bool is_of(const Report &report, const Plan &plan) {
  if (report.scenario != plan.scenario.name || report.pool != plan.pool.name ||
      report.workers != plan.scenario.conditions.workers)
    return false;
  if (plan.command)
    return true;
  bool same = true;
  auto conditions = recording_of(plan).scenario.conditions;
  for_each_condition(conditions, [&](const char *name, auto value) {
    auto found = report.conditions.find(name);
    same = same && found != report.conditions.end() && found->second == spell(value);
  });
  return same;
}

constexpr int recordings_alone = 3;

class Run {
public:
  Run(const std::vector<Plan> &plans, const Options &options, const std::function<void(const Report &)> &on_report)
      : plans_(plans), options_(options), on_report_(on_report) {}

  Swept run(const std::vector<Report> &earlier) {
    record(earlier);
    for (const auto &report : earlier)
      for (std::size_t target = 0; target < faults_.size(); ++target)
        if (report.point_fault && is_of(report, plans_[target]))
          swept_.sweeps[target].add(report);
    while (!has_ended()) {
      auto next = what_is_left();
      if (next.empty())
        break;
      replay(next);
    }
    requests_.reset(); // from here on a request is obeyed at once
    return std::move(swept_);
  }

private:
  struct Trial {
    std::size_t target, place; // the plan, and the place of its fault
  };

  bool has_ended() {
    if (!swept_.interrupted_by)
      swept_.interrupted_by = requests_->take(); // between two rounds
    return swept_.interrupted_by || swept_.is_over_budget;
  }

  /// The recordings that there are not yet.
  void record(const std::vector<Report> &earlier) {
    std::vector<std::optional<Report>> recordings(plans_.size());
    std::vector<Plan> to_record;
    std::vector<std::size_t> whose;
    for (std::size_t target = 0; target < plans_.size(); ++target) {
      for (const auto &report : earlier)
        if (!report.recording.empty() && is_of(report, plans_[target]))
          recordings[target] = report;
      if (!recordings[target]) {
        to_record.push_back(recording_of(plans_[target]));
        whose.push_back(target);
      }
    }
    replay(to_record, [&](std::size_t i, Report report) { recordings[whose[i]] = std::move(report); });
    follow_each(recordings, whose);
    for (auto target : whose)
      if (recordings[target] && !swept_.interrupted_by)
        on_report_(*recordings[target]);
    for (auto &recording : recordings) {
      if (!recording) // interrupted before
        recording.emplace();
      auto faults = reports::was_recorded_clean(*recording) ? faults_to_try(*recording, options_.choice)
                                                            : std::vector<PointFault>();
      std::vector<reports::SweptPoint> planned;
      for (const auto &fault : faults)
        planned.push_back({.point = to_text(fault.point), .fault = to_text(fault.fault), .call = "", .reason = ""});
      faults_.push_back(std::move(faults));
      swept_.sweeps.emplace_back(std::move(*recording), std::move(planned));
    }
  }

  /// A process that is followed alone does the same as in the sweep, where it is as well: who comes first to a lock may
  /// differ from when all of them are slowed down. Of a few recordings the shortest counts: in it the threads were
  /// least in one another's way, which is how most replays go.
  void follow_each(std::vector<std::optional<Report>> &recordings, const std::vector<std::size_t> &targets) {
    std::vector<Plan> to_record;
    std::vector<reports::RecordedProcess *> whose;
    for (auto target : targets)
      if (recordings[target] && reports::was_recorded_clean(*recordings[target]))
        for (auto &process : recordings[target]->recording)
          if (is_wanted(process.actor, options_.choice))
            for (int i = 0; i < recordings_alone; ++i) {
              to_record.push_back(recording_of_one(plans_[target], process.birth));
              whose.push_back(&process);
            }
    std::set<const reports::RecordedProcess *> followed;
    replay(to_record, [&](std::size_t i, const Report &report) {
      for (const auto &process : report.recording)
        if (process.birth == whose[i]->birth && process.actor == whose[i]->actor && !process.points.empty())
          if (followed.insert(whose[i]).second || process.points.size() < whose[i]->points.size())
            whose[i]->points = process.points;
    });
  }

  int replays_left(const reports::SweptPoint &point) const {
    if (point.not_judged > 0)
      return 0;
    if (point.reached == 0)
      return point.replays < options_.tries ? 1 : 0;
    bool may_go_on = point.replays < options_.tries + options_.repeat;
    return point.failed > 0 && may_go_on ? std::max(0, options_.repeat - point.reached) : 0;
  }

  std::vector<Trial> what_is_left() const {
    std::vector<Trial> trials;
    for (std::size_t target = 0; target < faults_.size(); ++target)
      for (std::size_t place = 0; place < faults_[target].size(); ++place)
        for (int i = replays_left(swept_.sweeps[target].points()[place]); i > 0; --i)
          trials.push_back({.target = target, .place = place});
    return trials;
  }

  void replay(const std::vector<Trial> &trials) {
    std::vector<Plan> plans;
    for (auto [target, place] : trials)
      plans.push_back(with_fault(plans_[target], faults_[target][place]));
    replay(plans, [&](std::size_t i, const Report &report) {
      swept_.sweeps[trials[i].target].add(report);
      on_report_(report);
    });
  }

  void replay(const std::vector<Plan> &plans, const std::function<void(std::size_t, Report)> &on_report) {
    if (plans.empty())
      return;
    auto run = options_.run;
    auto before = done_;
    run.on_done = [&](std::size_t done, const Report &) {
      done_ = before + done;
      options_.on_progress(done_, before + plans.size());
    };
    auto ran = replay::run(plans, run, on_report);
    swept_.interrupted_by = ran.interrupted_by;
    swept_.is_over_budget = ran.done < plans.size() && !ran.interrupted_by;
  }

  std::optional<os::EndRequests> requests_{std::in_place};
  const std::vector<Plan> &plans_;
  const Options &options_;
  const std::function<void(const Report &)> &on_report_;
  std::vector<std::vector<PointFault>> faults_; // of each plan
  Swept swept_;
  std::size_t done_ = 0;
};

} // namespace

Swept run(const std::vector<Plan> &plans, const Options &options, const std::vector<Report> &earlier,
          const std::function<void(const Report &)> &on_report) {
  return Run(plans, options, on_report).run(earlier);
}

} // namespace pidleak::sweep

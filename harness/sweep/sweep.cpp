#include "harness/sweep/sweep.hpp"

#include "harness/os/end_requests.hpp"

#include <algorithm>
#include <map>
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
constexpr int recordings_of_shard = 9;
constexpr int tries_at_a_lock = 3; // the others' timing decides what comes of it: once is not enough to call it clean

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
        if (!report.recording.empty() && is_of(report, plans_[target])) {
          if (recordings[target]) // of several shards, merged
            reports::add_recording(*recordings[target], report);
          else
            recordings[target] = report;
        }
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
        planned.push_back(planned_at(to_text(fault.point), to_text(fault.fault), *recording));
      // What most recordings do not have is for the shard whose it is, if it comes to know of it.
      for (std::size_t i = planned.size(); i-- > 0;)
        if (planned[i].is_elsewhere && rare_.contains(planned[i].point)) {
          planned.erase(planned.begin() + static_cast<std::ptrdiff_t>(i));
          faults.erase(faults.begin() + static_cast<std::ptrdiff_t>(i));
        }
      faults_.push_back(std::move(faults));
      swept_.sweeps.emplace_back(std::move(*recording), std::move(planned));
    }
  }

  /// A process that is followed alone does the same as in the sweep, where it is as well: who comes first to a lock may
  /// differ from when all of them are slowed down. Of a few recordings the shortest counts: in it the threads were
  /// least in one another's way, which is how most replays go. Which that is chance decides, and shards are to come to
  /// the same: of more recordings they take the points that a third of them has.
  void follow_each(std::vector<std::optional<Report>> &recordings, const std::vector<std::size_t> &targets) {
    std::vector<Plan> to_record;
    std::vector<reports::RecordedProcess *> whose;
    for (auto target : targets)
      if (recordings[target] && reports::was_recorded_clean(*recordings[target]))
        for (auto &process : recordings[target]->recording)
          if (is_wanted(process.actor, options_.choice))
            for (int i = 0; i < (options_.shard ? recordings_of_shard : recordings_alone); ++i) {
              to_record.push_back(recording_of_one(plans_[target], process.birth));
              whose.push_back(&process);
            }
    std::map<reports::RecordedProcess *, std::vector<reports::RecordedProcess>> followed;
    replay(to_record, [&](std::size_t i, const Report &report) {
      for (const auto &process : report.recording)
        if (process.birth == whose[i]->birth && process.actor == whose[i]->actor && !process.points.empty())
          followed[whose[i]].push_back(process);
    });
    for (auto &[process, its] : followed)
      process->points = options_.shard ? usual_points(its)
                                       : std::min_element(its.begin(), its.end(), [](const auto &a, const auto &b) {
                                           return a.points.size() < b.points.size();
                                         })->points;
  }

  std::vector<reports::RecordedPoint> usual_points(const std::vector<reports::RecordedProcess> &recordings) {
    std::map<std::string, std::size_t> often;
    Report all;
    for (const auto &recording : recordings) {
      for (const auto &point : recording.points)
        ++often[point.point];
      Report one;
      one.recording = {recording};
      reports::add_recording(all, one);
    }
    for (const auto &[point, times] : often)
      if (times * 2 <= recordings.size())
        rare_.insert(point);
    auto points = std::move(all.recording.front().points);
    std::erase_if(points, [&](const auto &point) { return often[point.point] * 3 < recordings.size(); });
    return points;
  }

  reports::SweptPoint planned_at(const std::string &point, const std::string &fault, const Report &recording) const {
    bool is_ours = !options_.shard || options_.shard->owns(reports::cell_name(recording, point, fault));
    return {.point = point, .fault = fault, .call = "", .reason = "", .is_elsewhere = !is_ours};
  }

  int replays_left(const reports::SweptPoint &point) const {
    if (point.not_judged > 0 || point.is_elsewhere)
      return 0;
    if (point.reached == 0)
      return point.replays < options_.tries ? 1 : 0;
    bool is_a_race = point.call.find("'s lock") != std::string::npos; // at one, or with one in hand
    int wanted = point.failed > 0 ? options_.repeat : is_a_race ? std::min(options_.repeat, tries_at_a_lock) : 1;
    bool may_go_on = point.replays < options_.tries + options_.repeat;
    return may_go_on ? std::max(0, wanted - point.reached) : 0;
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
  std::set<std::string> rare_;                  // points that at most half of a shard's recordings have
  Swept swept_;
  std::size_t done_ = 0;
};

} // namespace

Swept run(const std::vector<Plan> &plans, const Options &options, const std::vector<Report> &earlier,
          const std::function<void(const Report &)> &on_report) {
  return Run(plans, options, on_report).run(earlier);
}

} // namespace pidleak::sweep

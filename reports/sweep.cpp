#include "reports/sweep.hpp"

#include "harness/base/spelling.hpp"
#include "reports/tally.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace pidleak::reports {
namespace {

constexpr double least_share = 0.95;

std::string key_of(const std::string &point, const std::string &fault) { return point + " " + fault; }

std::string without_digits(std::string text) {
  std::erase_if(text, [](unsigned char c) { return c >= '0' && c <= '9'; });
  return text;
}

/// Puts what `more` has and `into` has not behind what stands before it in `more`.
template <class Item, class Key>
void merge_in_order(std::vector<Item> &into, const std::vector<Item> &more, const Key &key) {
  std::unordered_map<std::string, std::size_t> places;
  for (const auto &item : into)
    places.emplace(key(item), places.size());
  std::vector<std::vector<const Item *>> behind(into.size() + 1); // the first: before all
  std::size_t last = 0;
  bool has_new = false;
  for (const auto &item : more) {
    if (auto found = places.find(key(item)); found != places.end()) {
      last = found->second + 1;
      continue;
    }
    behind[last].push_back(&item);
    has_new = true;
  }
  if (!has_new)
    return;
  std::vector<Item> all;
  for (std::size_t i = 0; i <= into.size(); ++i) {
    if (i > 0)
      all.push_back(std::move(into[i - 1]));
    for (const auto *item : behind[i])
      all.push_back(*item);
  }
  into = std::move(all);
}

} // namespace

void add_recording(Report &into, const Report &more) {
  for (const auto &process : more.recording) {
    auto known = std::find_if(into.recording.begin(), into.recording.end(), [&](const RecordedProcess &one) {
      return one.actor == process.actor && one.birth == process.birth;
    });
    if (known == into.recording.end())
      into.recording.push_back(process);
    else
      merge_in_order(known->points, process.points, [](const RecordedPoint &point) { return point.point; });
  }
}

void add_planned(std::vector<SweptPoint> &into, const std::vector<SweptPoint> &more) {
  merge_in_order(into, more, [](const SweptPoint &point) { return key_of(point.point, point.fault); });
}

double Coverage::share() const {
  return planned == 0 ? 1 : static_cast<double>(reached) / static_cast<double>(planned);
}

bool shows_defect(const Report &report) { return report.verdict == Verdict::leaked || report.verdict == Verdict::hung; }

std::string role_of(const std::string &point) { return point.substr(0, point.find_first_of(":#/")); }

Sweep::Sweep(Report recording, std::vector<SweptPoint> planned)
    : recording_(std::move(recording)), points_(std::move(planned)) {
  for (std::size_t place = 0; place < points_.size(); ++place)
    places_.emplace(key_of(points_[place].point, points_[place].fault), place);
}

void Sweep::add(const Report &report) {
  if (!report.point_fault)
    return;
  auto found = places_.find(key_of(report.point_fault->point, report.point_fault->fault));
  if (found == places_.end())
    return;
  auto &point = points_[found->second];
  ++point.replays;
  bool says_nothing = report.verdict == Verdict::invalid && report.point_fault->reached;
  if (report.verdict == Verdict::skipped || report.verdict == Verdict::broken || says_nothing) {
    ++point.not_judged;
    point.reason = report.reason;
    return;
  }
  if (!report.point_fault->reached)
    return;
  ++point.reached;
  if (point.call.empty())
    point.call = report.point_fault->call;
  if (!shows_defect(report))
    return;
  ++point.failed;
  auto role = role_of(report.point_fault->point);
  auto key = fmt::format("{} {} {}", role, report.point_fault->fault, without_digits(kind_of_ending(report)));
  auto [entry, is_new] = classes_.try_emplace(
      key, SweepClass{.role = role, .fault = report.point_fault->fault, .first = report, .points = {}});
  auto &its_points = entry->second.points;
  if (!is_new && found->second < its_points.begin()->first)
    entry->second.first = report;
  ++its_points[found->second];
}

std::vector<const SweepClass *> Sweep::classes() const {
  std::vector<const SweepClass *> all;
  for (const auto &[key, one] : classes_)
    all.push_back(&one);
  std::sort(all.begin(), all.end(), [](const auto *a, const auto *b) {
    return std::pair(a->points.begin()->first, a->first.reason) < std::pair(b->points.begin()->first, b->first.reason);
  });
  return all;
}

Coverage Sweep::coverage() const {
  Coverage coverage;
  for (const auto &process : recording_.recording)
    coverage.recorded += process.points.size();
  for (const auto &point : points_) {
    coverage.planned += point.is_elsewhere ? 0 : 1;
    if (point.is_elsewhere || point.replays == point.not_judged)
      continue;
    ++coverage.tried;
    ++(point.reached > 0 ? coverage.reached : coverage.unreached);
  }
  return coverage;
}

std::vector<std::string> Sweep::reasons_not_judged() const {
  std::set<std::string> reasons;
  if (!was_recorded_clean(recording_))
    reasons.insert(fmt::format("without a fault: {}: {}", spell(recording_.verdict), recording_.reason));
  for (const auto &point : points_)
    if (point.not_judged > 0)
      reasons.insert(fmt::format("{} at {}: {}", point.fault, point.point, point.reason));
  return {reasons.begin(), reasons.end()};
}

std::vector<Report> as_cases(const Sweep &sweep) {
  std::vector<Report> cases;
  auto add = [&](Report report, const std::string &name) {
    report.scenario = sweep.recording().scenario + " swept";
    report.pool = fmt::format("{}: {}", sweep.recording().pool, name);
    cases.push_back(std::move(report));
  };
  for (const auto *one : sweep.classes())
    add(one->first, fmt::format("{} at {}", one->fault, sweep.points()[one->points.begin()->first].point));
  auto covered = sweep.recording();
  auto coverage = sweep.coverage();
  if (was_recorded_clean(covered)) {
    covered.verdict = coverage.share() < least_share ? Verdict::invalid : Verdict::clean;
    covered.reason = fmt::format("{} of {} faults at points were done", coverage.reached, coverage.planned);
  }
  covered.recording.clear();
  add(std::move(covered), "coverage");
  return cases;
}

int exit_status(const std::vector<Sweep> &sweeps) {
  bool has_defect = false, was_unreached = false;
  std::vector<Verdict> others;
  for (const auto &sweep : sweeps) {
    has_defect = has_defect || !sweep.classes().empty() || shows_defect(sweep.recording());
    was_unreached = was_unreached || sweep.coverage().share() < least_share;
    others.push_back(sweep.recording().verdict);
    for (const auto &point : sweep.points())
      if (point.not_judged > 0 && point.reached == 0)
        others.push_back(Verdict::broken);
  }
  auto status = exit_status(others);
  if (status == exit_status(Verdict::broken))
    return status;
  if (has_defect)
    return exit_status(Verdict::leaked);
  return was_unreached ? exit_status(Verdict::invalid) : status;
}

} // namespace pidleak::reports

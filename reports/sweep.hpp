// A sweep: what came of a fault at each point of execution of one pool, told as classes of points.
//
//   recording ──▶ points ──▶ each replay is added ──▶ classes, coverage ──▶ table, JSON, Markdown, JUnit
#pragma once

#include "reports/report.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pidleak::reports {

/// One fault at one point.
struct SweptPoint {
  std::string point, fault;
  std::string call;                         // what the process was in, as the first replay that came there shows it
  int replays = 0, reached = 0, failed = 0; // failed: leaked or hung
  int not_judged = 0;                       // skipped or broken
  std::string reason;                       // of the latest that was not judged
  bool is_elsewhere = false;                // another shard's, which tries it
};

/// Points of one role with the same fault, the same verdict and the same diagnosis of what remains.
struct SweepClass {
  std::string role, fault;
  Report first;                      // a replay of its earliest point
  std::map<std::size_t, int> points; // places in Sweep::points(), and in how many replays
};

struct Coverage {
  std::size_t recorded = 0;                          // points of execution, of all processes of the pool
  std::size_t tried = 0, reached = 0, unreached = 0; // faults at points; neither: not tried yet
  std::size_t planned = 0;                           // without those that are elsewhere
  /// What was reached of what was planned: 0 to 1; 1 where nothing was.
  double share() const;
};

class Sweep {
public:
  /// `recording`: the report of the replay that listed the points. `planned`: what is to be tried, in order.
  Sweep(Report recording, std::vector<SweptPoint> planned);

  /// A replay with a fault at one of the points. Others are passed over.
  void add(const Report &report);

  const Report &recording() const { return recording_; }
  const std::vector<SweptPoint> &points() const { return points_; }
  /// Leaks and hangs, by their earliest point.
  std::vector<const SweepClass *> classes() const;
  Coverage coverage() const;
  /// Those that were recorded and planned but could not be judged, for one reason or another.
  std::vector<std::string> reasons_not_judged() const;

private:
  Report recording_;
  std::vector<SweptPoint> points_;
  std::map<std::string, std::size_t> places_; // by point and fault
  std::map<std::string, SweepClass> classes_;
};

/// Another recording of the same: what only one of them has stands behind what both have before it.
void add_recording(Report &into, const Report &more);
/// The same of what is planned. What is known of points already stays.
void add_planned(std::vector<SweptPoint> &into, const std::vector<SweptPoint> &more);

/// A pool that is not clean without a fault can't be swept: its recording says so.
inline bool was_recorded_clean(const Report &recording) { return recording.verdict == Verdict::clean; }

/// Whether it was a replay of a sweep that shows a defect of the pool.
bool shows_defect(const Report &report);

/// `owner`, of `owner/2`; `worker`, of `worker#2`.
std::string role_of(const std::string &point);

/// The status that sweeps give a command: 1 a defect, 3 less than 95 % of the planned faults were done, 4 or 5 as
/// replays give it.
int exit_status(const std::vector<Sweep> &sweeps);

/// How a class is replayed: the command of this program. `pool`: as the user writes it.
using ReplayLine = std::function<std::string(const Sweep &, const SweepClass &)>;

/// For a terminal: of each sweep its title, its classes with their first replay in words and the line that replays it,
/// and its coverage.
std::string render_sweeps(const std::vector<Sweep> &sweeps, const ReplayLine &line);
std::string render_sweeps_as_markdown(const std::vector<Sweep> &sweeps, const ReplayLine &line);
/// For renderings of replays, such as JUnit: one case a class, and one for the coverage.
std::vector<Report> as_cases(const Sweep &sweep);
/// `"sweeps": [...]`, a member of the document; text that JSON can hold.
nlohmann::ordered_json sweeps_to_json(const std::vector<Sweep> &sweeps);

} // namespace pidleak::reports

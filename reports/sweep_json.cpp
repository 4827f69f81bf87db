// The member `sweeps` of a document: what its replays with a fault at a point came to, report.schema.json.
#include "harness/base/spelling.hpp"
#include "reports/sweep.hpp"

#include <nlohmann/json.hpp>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

Json sweeps_to_json(const std::vector<Sweep> &sweeps) {
  Json all = Json::array();
  for (const auto &sweep : sweeps) {
    const auto &recording = sweep.recording();
    auto coverage = sweep.coverage();
    Json classes = Json::array(), points = Json::array();
    for (const auto *one : sweep.classes()) {
      Json its_points = Json::array();
      for (auto [place, failed] : one->points)
        its_points.push_back({{"point", as_utf8(sweep.points()[place].point)}, {"failed", failed}});
      classes.push_back({{"role", one->role},
                         {"fault", one->fault},
                         {"verdict", spell(one->first.verdict)},
                         {"reason", as_utf8(one->first.reason)},
                         {"call", as_utf8(one->first.point_fault->call)},
                         {"points", its_points}});
    }
    for (const auto &point : sweep.points())
      points.push_back({{"point", as_utf8(point.point)},
                        {"fault", point.fault},
                        {"replays", point.replays},
                        {"reached", point.reached},
                        {"failed", point.failed}});
    all.push_back({{"scenario", as_utf8(recording.scenario)},
                   {"pool", as_utf8(recording.pool)},
                   {"conditions", recording.conditions},
                   {"coverage",
                    {{"recorded", coverage.recorded},
                     {"planned", coverage.planned},
                     {"tried", coverage.tried},
                     {"reached", coverage.reached},
                     {"unreached", coverage.unreached}}},
                   {"classes", classes},
                   {"points", points}});
  }
  return all;
}

} // namespace pidleak::reports

#include "reports/report.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

namespace pidleak::reports {

const std::vector<census::GrowingGroup> &growing_groups(const Report &report) {
  static const std::vector<census::GrowingGroup> none;
  return report.growth ? report.growth->groups : none;
}

bool has_adopted(const Report &report) { return report.genealogy && !report.genealogy->adopted.empty(); }

int &count_of(const census::RemainingProcess &process, Report &report) {
  return process.kind == census::Kind::helper            ? report.helpers
         : process.state == census::ProcessState::zombie ? report.zombies
                                                         : report.live;
}

void count_remaining(Report &report) {
  report.helpers = report.zombies = report.live = 0;
  for (const auto &process : report.remaining)
    if (!process.suppressed_by)
      ++count_of(process, report);
}

std::string count_of_processes(std::size_t count) {
  return count == 1 ? "a process" : fmt::format("{} processes", count);
}

int exit_status(Verdict verdict) {
  switch (verdict) {
  case Verdict::clean:
    return 0;
  case Verdict::leaked:
  case Verdict::hung:
    return 1;
  case Verdict::invalid:
    return 3;
  case Verdict::skipped:
    return 4;
  case Verdict::broken:
    return 5;
  }
  return 5;
}

int exit_status(const std::vector<Verdict> &verdicts) {
  for (int status : {5, 3, 1, 0, 4})
    if (std::any_of(verdicts.begin(), verdicts.end(), [&](Verdict v) { return exit_status(v) == status; }))
      return status;
  return exit_status(Verdict::skipped);
}

void sign(Report &report, std::time_t started) {
  utsname names{};
  ::uname(&names);
  report.tool_version = PIDLEAK_VERSION;
  report.kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
  report.user = ::geteuid();
  std::tm utc{};
  ::gmtime_r(&started, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  report.started = text;
}

} // namespace pidleak::reports

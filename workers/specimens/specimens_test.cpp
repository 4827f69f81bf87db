// Every specimen's defect is found, with its cause, and every twin is clean; each more than once.
//
// PIDLEAK_REPETITIONS: how often each is tried (default 3). PIDLEAK_SPECIMENS_TABLE: a file to which a line of the
// table in README.md is appended for each, ci/specimens makes it.
#include "scenarios/cases.hpp"
#include "workers/specimens/run_specimen.hpp"
#include "workers/specimens/specimen.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace {

using namespace pidleak;
using specimens::Specimen;

std::string main_cause(const census::RemainingProcess &process) {
  return process.diagnosis.empty() ? "none" : spell(process.diagnosis.front().cause);
}

std::string causes_of(const reports::Report &report) {
  std::vector<std::string> causes;
  for (const auto &process : report.remaining)
    causes.push_back(main_cause(process));
  std::sort(causes.begin(), causes.end());
  if (report.owner)
    causes.push_back("owner " + main_cause(*report.owner));
  return fmt::format("{}", fmt::join(causes, ", "));
}

/// Some of what remains moves, or may: quiescence can't settle that.
bool settles_at_the_deadline(const Specimen &specimen) {
  for (const char *moves : {"timer", "runs", "unknown"})
    if (specimen.causes.find(moves) != std::string::npos)
      return true;
  // A process outside may open the same FIFO, or release the same file.
  return specimen.name == "opens-a-fifo" || specimen.name == "waits-for-a-file-lock";
}

specimens::Invocation invocation_of(const Specimen &specimen) {
  specimens::Invocation invocation{.program = PIDLEAK_BINARY_DIR "/pidleak-specimen", .arguments = {specimen.name}};
  if (settles_at_the_deadline(specimen)) // too short a bound only calls more leaked
    invocation.settle_bound = milliseconds(300);
  return invocation;
}

struct Tally {
  int right = 0, tried = 0;
  std::vector<double> settle_ms;
  std::string settled_by;
};

void append_to_table(const Specimen &specimen, Tally tally) {
  const char *path = std::getenv("PIDLEAK_SPECIMENS_TABLE");
  if (!path)
    return;
  auto middle = tally.settle_ms.begin() + static_cast<std::ptrdiff_t>(tally.settle_ms.size() / 2);
  std::nth_element(tally.settle_ms.begin(), middle, tally.settle_ms.end());
  std::ofstream(path, std::ios::app) << fmt::format("| {} | {} | {} | {} | {} | {:.1f} | {} of {} |\n", specimen.name,
                                                    specimen.what, specimen.verdict, specimen.causes, tally.settled_by,
                                                    *middle, tally.right, tally.tried);
}

void check(const Specimen &specimen) {
  const char *wanted = std::getenv("PIDLEAK_REPETITIONS");
  Tally tally;
  for (int left = wanted ? std::atoi(wanted) : 3; left > 0; --left) {
    auto report = specimens::run_specimen(invocation_of(specimen));
    auto causes = causes_of(report);
    INFO(report.reason << "\n" << report.not_quiescent_because);
    for (const auto &process : report.remaining)
      for (const auto &finding : process.diagnosis)
        UNSCOPED_INFO("pid " << process.pid << ": " << spell(finding.cause) << ": " << finding.text);
    CHECK(spell(report.verdict) == specimen.verdict);
    CHECK(causes == specimen.causes);
    CHECK(report.census_complete);
    if (report.verdict == reports::Verdict::leaked && !settles_at_the_deadline(specimen))
      CHECK(report.settled_by == reports::SettledBy::quiescence);
    tally.right += spell(report.verdict) == specimen.verdict && causes == specimen.causes;
    ++tally.tried;
    tally.settle_ms.push_back(report.settle_ms);
    tally.settled_by = report.settled_by ? spell(*report.settled_by) : "";
  }
  append_to_table(specimen, tally);
}

const bool added = [] {
  for (const auto &specimen : specimens::all())
    cases::add(fmt::format("specimen {} is {}", specimen.name, specimen.verdict), {"specimen"},
               [=] { check(specimen); });
  return true;
}();

} // namespace

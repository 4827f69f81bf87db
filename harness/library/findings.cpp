#include "harness/library/findings.hpp"

#include "harness/base/spelling.hpp"
#include "harness/census/diagnosis.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "reports/census_record.hpp"
#include "reports/document.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>

namespace pidleak {

std::ostream &operator<<(std::ostream &out, const Findings &findings) { return out << findings.text; }

} // namespace pidleak

namespace pidleak::library {

using census::Cause;
using census::Kind;
using census::ProcessState;
using reports::Report;
using reports::Verdict;

namespace {

std::string list_of(std::vector<std::string> names) {
  std::replace(names.begin(), names.end(), std::string(), std::string("one without a name"));
  return fmt::format("{}", fmt::join(names, ", "));
}

/// What the diagnosis can't know: whose it is.
void add_doubt(census::RemainingProcess &process, const Claim &claim) {
  if (!claim.may_be_of.empty())
    process.diagnosis.push_back(
        {Cause::unknown, "it may belong to another guard: the kernel does not say which guard's thread started it; "
                         "guards of that time: " +
                             list_of(claim.may_be_of)});
}

/// In the order of the suspects, without those that are gone; `suspects` without these as well.
std::vector<census::RemainingProcess> examine(std::vector<Suspect> &suspects, const std::vector<Helper> &helpers,
                                              const census::Boundary &boundary) {
  std::vector<census::RemainingProcess> remaining;
  std::vector<Suspect> still_there;
  census::Knowledge knowledge; // no harness: who is this process's child need not be an orphan
  census::Surroundings around{.session = ::getsid(0), .boundary = &boundary};
  for (auto &suspect : suspects) {
    if (auto role = role_of(suspect.who.process().pid, helpers); !role.empty())
      around.helpers[suspect.who.process().pid] = role;
    auto process = census::examine(suspect.who.process(), around);
    if (!process)
      continue;
    process->outside_pid = process->pid;
    if (suspect.origin == Origin::adopted && process->kind == Kind::live)
      process->kind = Kind::orphan;
    if (process->state == ProcessState::zombie)
      if (auto held = os::ProcessRef::open(process->pid))
        if (auto status = held->exit_status())
          knowledge.ends[process->pid] = status->text();
    remaining.push_back(std::move(*process));
    still_there.push_back(std::move(suspect));
  }
  suspects = std::move(still_there);
  census::diagnose(remaining, nullptr, knowledge);
  for (std::size_t i = 0; i < remaining.size(); ++i)
    add_doubt(remaining[i], suspects[i].claim);
  return remaining;
}

/// Why it does not count, if it does not.
std::string reason_to_tolerate(const Suspect &suspect, const census::RemainingProcess &process) {
  if (process.kind == Kind::helper)
    return process.role + ": it serves this process for as long as that lives";
  if (suspect.may_be_of_init())
    return "it may be an orphan, which init would have reaped, or a child that was started here without fork(3) and "
           "not waited for: the kernel does not say";
  return suspect.claim.left_to_another
             ? "left to the guards that have not been checked yet, of: " + list_of(suspect.claim.may_be_of)
             : "";
}

/// A rule comes first. `suspects`, which have gone meanwhile, are taken out.
void examine_and_tolerate(Report &report, std::vector<Suspect> &suspects, const Settings &settings,
                          const census::Boundary &boundary) {
  report.remaining = examine(suspects, settings.helpers, boundary);
  if (!settings.rules.empty())
    reports::apply(settings.rules, report, std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()));
  for (std::size_t i = 0; i < suspects.size(); ++i)
    if (auto &process = report.remaining[i]; !process.suppressed_by)
      if (auto reason = reason_to_tolerate(suspects[i], process); !reason.empty())
        process.suppressed_by = reason;
}

/// One that was tolerated a moment ago, and is not any more, is about to end: it has lost its command line already.
void leave_out_those_that_leave(Report &report, std::vector<Suspect> &suspects,
                                const std::vector<census::Member> &counting) {
  for (std::size_t i = suspects.size(); i-- > 0;)
    if (!report.remaining[i].suppressed_by &&
        std::find(counting.begin(), counting.end(), suspects[i].who.process()) == counting.end()) {
      auto at = static_cast<std::ptrdiff_t>(i);
      report.remaining.erase(report.remaining.begin() + at);
      suspects.erase(suspects.begin() + at);
    }
}

void judge(Report &report, const std::vector<pid_t> &hidden) {
  reports::count_remaining(report);
  auto count = report.live + report.zombies;
  auto tolerated = report.remaining.size() - static_cast<std::size_t>(count);
  report.verdict = count == 0 && report.census_complete ? Verdict::clean : Verdict::leaked;
  report.reason = count == 0   ? "nothing remains"
                  : count == 1 ? "a process remains"
                               : fmt::format("{} processes remain", count);
  if (tolerated > 0)
    report.reason += fmt::format(", apart from {} tolerated", tolerated);
  if (!hidden.empty())
    report.reason += fmt::format("; this user may not see in /proc what they are: pid {}", fmt::join(hidden, ", "));
  else if (!report.census_complete)
    report.reason += count == 0 ? " long enough to be named, but short-lived processes keep appearing"
                                : ", and maybe more: they come and go faster than they can be counted";
}

Remaining remaining_of(const census::RemainingProcess &process, const Suspect &suspect) {
  Remaining remaining{.pid = process.pid,
                      .parent = process.parent,
                      .kind = spell(process.kind),
                      .name = process.comm,
                      .command_line = process.command_line,
                      .diagnosis = {},
                      .may_be_of = suspect.claim.may_be_of,
                      .tolerated_because = process.suppressed_by.value_or(""),
                      .may_be_adopted = suspect.may_be_of_init()};
  for (const auto &finding : process.diagnosis)
    remaining.diagnosis.push_back({spell(finding.cause), finding.text});
  return remaining;
}

std::string command_line() { return fmt::format("{}", fmt::join(os::read_command_line(::getpid()), " ")); }

} // namespace

std::vector<census::Member> those_that_count(const Look &look, const Settings &settings,
                                             const census::Boundary &boundary) {
  std::vector<Suspect> counting;
  for (const auto &suspect : look.suspects)
    if (!suspect.claim.left_to_another && !suspect.may_be_of_init() &&
        role_of(suspect.who.process().pid, settings.helpers).empty())
      counting.push_back(suspect);
  std::vector<census::Member> members;
  if (settings.rules.empty()) {
    for (const auto &suspect : counting)
      members.push_back(suspect.who.process());
    return members;
  }
  Report report;
  examine_and_tolerate(report, counting, settings, boundary);
  for (std::size_t i = 0; i < counting.size(); ++i)
    if (!report.remaining[i].suppressed_by)
      members.push_back(counting[i].who.process());
  return members;
}

Findings findings_of(const Checked &checked, const std::string &name, const Settings &settings,
                     const census::Boundary &boundary) {
  Report report;
  reports::sign(report, checked.started);
  report.scenario = "guard";
  report.pool = name.empty() ? command_line() : name;
  if (!settings.adopt_orphans)
    report.tier_notes.emplace_back("this process adopts no orphans for this guard: daemons may have got out of sight");
  reports::record_settled(report, checked.how, checked.since);
  report.total_ms = report.settle_ms;
  auto suspects = checked.look.suspects;
  examine_and_tolerate(report, suspects, settings, boundary);
  leave_out_those_that_leave(report, suspects, checked.counting);
  judge(report, checked.look.family.hidden);

  Findings findings;
  findings.complete = report.census_complete;
  for (std::size_t i = 0; i < suspects.size(); ++i) {
    const auto &process = report.remaining[i];
    (process.suppressed_by ? findings.tolerated : findings.remaining).push_back(remaining_of(process, suspects[i]));
  }
  findings.text =
      fmt::format("pidleak: {}: {}\n{}{}", reports::printable(report.pool), reports::printable(report.reason),
                  reports::remaining_lines(report, "  "), reports::suppression_lines(report, "  "));
  findings.json = reports::to_document({report});
  return findings;
}

} // namespace pidleak::library

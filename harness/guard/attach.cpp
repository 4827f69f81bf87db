#include "harness/guard/attach.hpp"

#include "harness/census/diagnosis.hpp"
#include "harness/guard/own_cgroup.hpp"
#include "harness/guard/watch.hpp"
#include "harness/os/end_requests.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/census_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace pidleak::guard {

using census::Member;
using reports::Verdict;

namespace {

class Attached {
public:
  Attached(const Service &service, const Options &options, const Listener &listener)
      : service_(service.process), cgroup_(service.cgroup), limits_(service.limits), options_(options),
        listener_(listener), watch_(service_.pid(), options.every.value(), listener.grows,
                                    [this](const auto &members, bool) { return explain(members); }) {
    known_ = {{.pid = service_.pid(), .parent = 0, .start_ticks = service_.start_ticks()}};
  }

  Outcome run() {
    auto end =
        options_.limit.timeout ? Deadline::after(*options_.limit.timeout) : Deadline::at(Clock::time_point::max());
    while (!service_.has_exited() && !requests_.any() && !end.passed()) {
      if (watch_.next().passed())
        take_look();
      os::wait_for_any_exit({service_.pidfd(), requests_.fd()}, milliseconds(watch_.next().sooner_of(end).left_ms()));
    }
    auto report = new_report();
    if (service_.has_exited())
      find_remaining(report);
    else
      report.reason = "the service was still running";
    watch_.conclude(report);
    if (report.verdict == Verdict::clean) {
      if (!service_.has_exited() && report.growth->looks < census::fewest_looks)
        report.verdict = Verdict::invalid; // nothing was shown
      report.reason += fmt::format("; {}", fmt::join(limits_, "; "));
    }
    listener_.judge(report);
    return {.report = std::move(report)};
  }

private:
  /// One that fails is lost.
  void take_look() {
    try {
      watch_.look(look(), new_report());
    } catch (const std::exception &e) {
      if (watch_.miss() == 1)
        listener_.warn(fmt::format("a sample failed, and further failures are not reported: {}", e.what()));
    }
  }

  reports::Report new_report() const {
    reports::Report report;
    report.verdict = Verdict::clean;
    report.tier = reports::Tier::attached;
    report.tier_notes = limits_;
    return report;
  }

  /// The processes that are or were below the service, or are in its cgroup, and still exist; the service as well.
  const std::vector<Member> &look() {
    for (pid_t pid : cgroup_.empty() ? std::vector<pid_t>{} : members_of_cgroup(cgroup_))
      if (auto stat = os::read_stat(pid); stat && stat->start_ticks >= service_.start_ticks()) // else it is older
        known_.push_back({.pid = pid, .parent = stat->parent, .start_ticks = stat->start_ticks});
    known_ = census::walk_from(known_);
    return known_;
  }

  /// Who lost its parent has one now that is none of the service's processes.
  census::Surroundings surroundings_of(const Member &member) const {
    bool has_parent =
        std::any_of(known_.begin(), known_.end(), [&](const auto &other) { return other.pid == member.parent; });
    return {.harness = has_parent ? 0 : member.parent, .subject = service_.pid(), .session = session_};
  }

  static census::Knowledge knowledge() { return {.all_are_known = false}; }

  std::vector<census::RemainingProcess> explain(const std::vector<Member> &members) const {
    auto processes = examine(members);
    census::diagnose(processes, nullptr, knowledge());
    return processes;
  }

  std::vector<census::RemainingProcess> examine(const std::vector<Member> &members) const {
    std::vector<census::RemainingProcess> processes;
    for (const auto &member : members)
      if (auto process = census::examine(member, surroundings_of(member))) {
        process->outside_pid = process->pid;
        processes.push_back(std::move(*process));
      }
    return processes;
  }

  std::vector<Member> others() {
    auto members = look();
    std::erase_if(members, [this](const auto &member) { return member.pid == service_.pid(); });
    return members;
  }

  void find_remaining(reports::Report &report) {
    auto since = Clock::now();
    auto deadline = Deadline::after(options_.grace);
    Backoff backoff;
    auto members = others();
    for (; !members.empty() && !deadline.passed() && !requests_.any(); members = others())
      os::wait_for_any_exit({requests_.fd()}, backoff.next());
    reports::record_settled(
        report,
        {.walk = {},
         .by = members.empty() ? reports::SettledBy::all_gone : reports::SettledBy::deadline,
         .why_not_quiescent = requests_.any() ? "a signal asked guard to end" : "guard is not above the service"},
        since);
    reports::record_remaining(report, examine(members), {}, knowledge());
    auto count = report.remaining.size();
    report.reason = count == 0 ? "nothing that was seen is left of the service"
                               : reports::count_of_processes(count) + " outlived the service";
    report.verdict = count == 0 ? Verdict::clean : Verdict::leaked;
  }

  const os::ProcessRef &service_;
  const std::string &cgroup_;
  const std::vector<std::string> &limits_;
  const Options &options_;
  const Listener &listener_;
  os::EndRequests requests_;
  pid_t session_ = ::getsid(service_.pid());
  std::vector<Member> known_;
  Watch watch_;
};

} // namespace

Service Service::of(os::ProcessRef process) {
  Service service{.process = std::move(process), .cgroup = "", .limits = {}};
  service.cgroup = own_cgroup_of(service.process.pid());
  service.limits = {
      service.cgroup.empty()
          ? "processes orphaned between two samples are missed: the service is not below guard, and has no cgroup of "
            "its own"
          : fmt::format(
                "its cgroup {} is read too, and processes started there since count as the service's: only processes "
                "that left it and were orphaned between two samples are missed",
                service.cgroup)};
  if (!os::read_fds(service.process.pid()))
    service.limits.emplace_back(
        "why a process remains can't be determined: this user may not examine another user's processes");
  return service;
}

Outcome attach(const Service &service, const Options &options, const Listener &listener) {
  return Attached(service, options, listener).run();
}

} // namespace pidleak::guard

// pidleak doctor: what this machine offers, and what can therefore be replayed at which tier.
#include "harness/cli/verbs.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/sources.hpp"
#include "harness/replay/run.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>

namespace pidleak::cli {
namespace {

std::string line(const std::string &what, bool there, const std::string &detail) {
  return fmt::format("  {:<22} {}{}{}\n", what, there ? "yes" : "no", detail.empty() ? "" : "   ", detail);
}

std::string place_line(const std::string &controller, const os::CgroupPlace &place) {
  return line(controller + " cgroup", !place.parent.empty(),
              place.parent.empty() ? place.lacks
                                   : fmt::format("v{}, in {}", static_cast<int>(place.version), place.parent));
}

int doctor() {
  auto facilities = replay::find_facilities();
  utsname names{};
  ::uname(&names);
  auto text = fmt::format("Linux {}, user {}\n", names.release, ::geteuid());

  auto privileged = os::why_no_namespace(os::NamespaceKind::privileged);
  auto with_user = os::why_no_namespace(os::NamespaceKind::with_user_namespace);
  text += line("PID namespace", privileged.empty(), privileged);
  text += line("  in a user namespace", with_user.empty(), with_user);
  text += place_line("pids", facilities.pids);
  text += place_line("memory", facilities.memory);
  text += line("pidfd", os::ProcessRef::open(::getpid()).has_value(), "");
  text += line("subreaper", true, ""); // Linux 3.4, and a pidfd needs 5.3
  bool children = ::access(fmt::format("/proc/self/task/{}/children", ::getpid()).c_str(), R_OK) == 0;
  text += line("/proc children", children, children ? "" : "CONFIG_PROC_CHILDREN: there is no census without it");
  bool alarms = os::read_alarms() != os::Alarms::not_shown; // access(2) would say yes of a file that is masked
  text += line(
      "alarms visible", alarms,
      alarms
          ? ""
          : "/proc/timer_list is for root, masked or without symbols: verdicts leaked and hung wait for the deadline");

  text += fmt::format("\nStrongest tier: {}\n", spell(facilities.strongest));
  for (const auto &note : facilities.notes)
    text += "  " + note + "\n";
  text += "\nScenarios\n";
  for (const auto *scenario : scenarios::all()) {
    bool lacks_oom = scenario->conditions.death == Death::oom && facilities.memory.parent.empty();
    text += fmt::format("  {:<28} {}\n", scenario->name,
                        lacks_oom ? "skipped: " + facilities.memory.lacks + " (or --oom=sigkill)"
                                  : "tier " + spell(facilities.strongest));
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

} // namespace

void add_doctor(CLI::App &app, int &status) {
  app.add_subcommand("doctor", "Show what this machine offers, and which scenarios run at which tier")
      ->callback([&status] { status = doctor(); });
}

} // namespace pidleak::cli

// pidleak doctor: what this machine offers, and what can therefore be replayed at which tier.
#include "harness/cli/verbs.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/sources.hpp"
#include "harness/replay/run.hpp"
#include "reports/layout.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>

namespace pidleak::cli {
namespace {

/// The detail is where it is, or why it is not there and what to do about that.
std::string line(const std::string &what, bool there, const std::string &detail) {
  auto head = fmt::format("  {:<22} {}", what, there ? "yes" : "no");
  return detail.empty() ? head + "\n" : reports::layout::wrapped(head + "   ", detail, 30);
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
  text += "\nSources of facts about processes\n";
  for (const auto &source : os::try_sources())
    text += line(source.name, source.lacks.empty(),
                 source.lacks.empty() ? "" : fmt::format("{}. Without it, {}", source.lacks, source.without_it));

  text += fmt::format("\nStrongest tier: {}\n", spell(facilities.strongest));
  for (const auto &note : facilities.notes)
    text += reports::layout::wrapped("  ", note, 4);
  text += "\nScenarios\n";
  for (const auto *scenario : scenarios::all()) {
    bool lacks_oom = scenario->conditions.death == Death::oom && facilities.memory.parent.empty();
    text +=
        fmt::format("  {:<28} {}\n", scenario->name,
                    lacks_oom ? "skipped: no memory cgroup for a real OOM kill, see above; --oom=sigkill does without"
                              : "tier " + spell(facilities.strongest));
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

} // namespace

Command doctor_verb() {
  return {.name = "doctor",
          .summary = "Show what this machine offers, and which scenarios run at which tier",
          .run = [](const Given &) { return doctor(); }};
}

} // namespace pidleak::cli

// pidleak why: what a process and those below it wait for, and for whom. It is only looked at.
#include "harness/census/counterparts.hpp"
#include "harness/census/diagnosis.hpp"
#include "harness/cli/service.hpp"
#include "harness/cli/shell.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

namespace pidleak::cli {
namespace {

using Processes = std::vector<census::RemainingProcess>;

/// The process and those below it, itself first.
Processes tree_of(pid_t pid, const os::ProcStat &stat) {
  census::Surroundings around{.subject = pid, .session = stat.session};
  Processes tree;
  auto members = census::walk_from({{.pid = pid, .parent = stat.parent, .start_ticks = stat.start_ticks}});
  std::erase_if(members, [](const auto &member) { return member.pid == ::getpid(); });
  std::stable_partition(members.begin(), members.end(), [&](const auto &member) { return member.pid == pid; });
  for (const auto &member : members)
    if (auto process = census::examine(member, around))
      tree.push_back(std::move(*process));
  return tree;
}

int why(pid_t pid) {
  auto asked = fmt::format("why {}", pid);
  auto held = find_process(pid, asked);
  auto stat = os::read_stat(pid);
  auto all = stat ? tree_of(pid, *stat) : Processes{};
  if (all.empty())
    throw UsageError(asked + ": it has just ended");
  auto in_tree = static_cast<std::ptrdiff_t>(all.size());
  auto command = command_line_of(all.front().command_line);
  for (auto &outside : census::find_counterparts(all))
    all.push_back(std::move(outside));
  census::diagnose(all, nullptr, {.all_are_known = false});
  auto text = fmt::format("pid {}: {}\n", pid, reports::printable(command.empty() ? stat->comm : command));
  std::set<pid_t> told_of;
  for (const auto &process : all)
    told_of.insert(process.pid);
  auto told = [&](const char *title, std::ptrdiff_t from, std::ptrdiff_t to) {
    text += reports::process_lines(title, Processes(all.begin() + from, all.begin() + to), "  ", told_of);
  };
  told("asked", 0, 1);
  told("below", 1, in_tree);
  told("outside", in_tree, std::ssize(all));
  std::fputs(text.c_str(), stdout);
  return 0;
}

} // namespace

Command why_verb() {
  auto pid = std::make_shared<int>(0);
  return {.name = "why",
          .summary = "Show what a running process and those below it wait for, and for whom",
          .options = {{.name = "PID",
                       .into = pid.get(),
                       .summary = "The process; it is only looked at",
                       .value = "",
                       .range = {{1, 4194304}},
                       .required = true}},
          .footer = "asked: the process. below: its descendants. outside: who has the other end of their pipes and\n"
                    "sockets, or the lock on their files, wherever on the machine that is.\n\n"
                    "Examples:\n"
                    "  pidleak why 4711\n"
                    "  pidleak why $(pgrep -o make)",
          .run = [pid](const Given &) { return why(*pid); }};
}

} // namespace pidleak::cli

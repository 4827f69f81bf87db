#include "reports/remaining_text.hpp"

#include "harness/base/spelling.hpp"
#include "harness/census/roots.hpp"
#include "harness/os/procfs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>

namespace pidleak::reports {
namespace {

using layout::Row;

/// `waits in futex`, of several threads `3 threads: futex, poll`.
std::string waits_of(const census::RemainingProcess &process) {
  Row calls;
  for (const auto &wait : process.waits)
    if (auto call = printable(wait.syscall);
        !call.empty() && std::find(calls.begin(), calls.end(), call) == calls.end())
      calls.push_back(call);
  if (calls.empty())
    return "";
  if (process.waits.size() > 1)
    return fmt::format("{} threads: {}", process.waits.size(), fmt::join(calls, ", "));
  if (calls.front() == "running")
    return "runs";
  return calls.front() == "none" ? "blocked, in no system call" : "waits in " + calls.front();
}

} // namespace

Row row_of(const census::RemainingProcess &process) {
  auto kind = spell(process.kind);
  if (process.state == census::ProcessState::uninterruptible) // no signal ends it: not the pool's fault alone
    kind += " (uninterruptible)";
  return {fmt::format("pid {}", process.pid),
          process.outside_pid && *process.outside_pid != process.pid ? fmt::format("host pid {}", *process.outside_pid)
                                                                     : "",
          kind,
          printable(process.role.empty() ? process.comm : process.role),
          process.status ? "SIGTERM " + spell(os::action_of(*process.status, SIGTERM)) : "",
          waits_of(process)};
}

std::string cause_of(const census::Finding &finding) {
  return fmt::format("{}: {}", spell(finding.cause), printable(finding.text));
}

namespace {

/// Without the list of what it takes: `get` of `get(std::function<void (int)>) const`.
std::string name_of_call(const std::string &call) {
  int depth = 0;
  for (auto at = call.rfind(')'); at != call.npos && at < call.size(); --at) {
    depth += call[at] == ')' ? 1 : call[at] == '(' ? -1 : 0;
    if (depth == 0)
      return at == 0 ? call : call.substr(0, at);
  }
  return call;
}

/// `read < get < run_worker`: without what they take, and no more of them than fit.
std::string innermost_calls(const Row &stack) {
  constexpr std::size_t most = 8;
  Row calls;
  for (std::size_t i = 0; i < std::min(stack.size(), most); ++i)
    calls.push_back(printable(name_of_call(stack[i])));
  return fmt::format("{}{}", fmt::join(calls, " < "), stack.size() > most ? " < ..." : "");
}

constexpr std::size_t most_shown = 50; // of kinds: more of them are for programs
constexpr std::size_t most_pids = 8;   // of one kind

/// The arguments as a shell would show them without quotes, cut in the middle where they are long.
std::string command_of(const Row &command_line) {
  constexpr std::size_t longest = 100, head = 60, tail = 35;
  auto text = printable(fmt::format("{}", fmt::join(command_line, " ")));
  if (text.size() <= longest)
    return text;
  auto is_inside = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  std::size_t to = head, from = text.size() - tail;
  while (is_inside(to)) // of a character
    --to;
  while (from < text.size() && is_inside(from))
    ++from;
  return text.substr(0, to) + " ... " + text.substr(from);
}

/// `listens on tcp 127.0.0.1:80; holds flock /tmp/x`: what is known of it and matters, but for what it costs.
std::string nature_of(const census::Attributes &attributes) {
  Row parts;
  auto path = [](const std::string &name, bool is_gone) { return printable(name) + (is_gone ? " (deleted)" : ""); };
  if (attributes.name_lies || attributes.executable_deleted)
    parts.push_back("runs " + path(attributes.executable, attributes.executable_deleted));
  if (!attributes.directory.empty())
    parts.push_back("in " + path(attributes.directory, attributes.directory_deleted));
  if (!attributes.user.empty())
    parts.push_back("as user " + printable(attributes.user));
  if (!attributes.listens.empty())
    parts.push_back(fmt::format("listens on {}", printable(fmt::format("{}", fmt::join(attributes.listens, ", ")))));
  if (!attributes.locks.empty())
    parts.push_back(fmt::format("holds {}", printable(fmt::format("{}", fmt::join(attributes.locks, ", ")))));
  if (!attributes.outputs.empty())
    parts.push_back(fmt::format("holds the command's {}: what reads it waits", fmt::join(attributes.outputs, " and ")));
  if (attributes.is_namespace_init)
    parts.push_back("first of its PID namespace: a signal's default does nothing there");
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string duration(double ms) {
  constexpr double second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
  auto [unit, name] = ms < 2 * minute ? std::pair(second, "s")
                      : ms < 2 * hour ? std::pair(minute, "min")
                      : ms < 2 * day  ? std::pair(hour, "h")
                                      : std::pair(day, "days");
  return fmt::format("{:.{}f} {}", ms / unit, ms < 10 * unit ? 1 : 0, name);
}

/// `setsid sleep 200 (ended at 0.3 s) <- make test`. Without the times what alike processes have in common.
std::string chain_of(const std::vector<census::Creator> &creators, bool with_times) {
  Row links;
  for (const auto &creator : creators) {
    auto link = creator.command_line.empty() ? fmt::format("pid {}", creator.pid) : command_of(creator.command_line);
    if (with_times && creator.ended_ms)
      link += *creator.ended_ms < 1000 ? fmt::format(" (ended at {:.0f} ms)", *creator.ended_ms)
                                       : fmt::format(" (ended at {})", duration(*creator.ended_ms));
    links.push_back(link);
  }
  return fmt::format("{}", fmt::join(links, " <- "));
}

/// What follows a process's first line; the place of what it costs is before what this returns.
std::string further_lines(const census::RemainingProcess &process, const std::string &indent) {
  std::string text;
  if (!process.forked_at.empty())
    text += layout::wrapped(indent + "            forked at: ",
                            printable(fmt::format("{}", fmt::join(process.forked_at, " <- "))), indent.size() + 14);
  if (auto nature = process.attributes ? nature_of(*process.attributes) : ""; !nature.empty())
    text += layout::wrapped(indent + "            ", nature, indent.size() + 14);
  for (const auto &wait : process.waits)
    if (!wait.stack.empty())
      text += fmt::format("{}            thread {} is in {}\n", indent, wait.thread, innermost_calls(wait.stack));
  for (const auto &finding : process.diagnosis) {
    text += layout::wrapped(indent + "            ", cause_of(finding), indent.size() + 14);
    if (!finding.cure.empty())
      text += layout::wrapped(indent + "            cure: ", printable(finding.cure), indent.size() + 14);
  }
  if (process.suppressed_by)
    text += layout::wrapped(indent + "            ", "suppressed: " + printable(*process.suppressed_by),
                            indent.size() + 14);
  return text;
}

/// Of one or several processes.
struct Cost {
  std::size_t count = 0, with_memory = 0;
  double youngest_ms = 0, oldest_ms = 0, cpu_ms = 0;
  long memory_kib = 0; // shared pages divided among those that share them, where that can be read

  void add(const census::RemainingProcess &process) {
    if (!process.attributes)
      return;
    const auto &attributes = *process.attributes;
    youngest_ms = count == 0 ? attributes.age_ms : std::min(youngest_ms, attributes.age_ms);
    oldest_ms = std::max(oldest_ms, attributes.age_ms);
    cpu_ms += attributes.cpu_ms;
    ++count;
    if (auto memory = attributes.pss_kib ? attributes.pss_kib : attributes.rss_kib) {
      memory_kib += *memory;
      ++with_memory;
    }
  }

  /// `4.2 s old, 0.1 s of CPU, 12 MiB`; of several `1.0 s to 16 s old; together ...`; of zombies the age alone. Empty:
  /// not known.
  std::string text() const {
    if (count == 0)
      return "";
    auto age = duration(oldest_ms);
    if (count > 1 && duration(youngest_ms) != age)
      age = duration(youngest_ms) + " to " + age;
    if (with_memory == 0)
      return age + " old";
    auto mebibytes = static_cast<double>(memory_kib) / 1024;
    return fmt::format("{} old{} {} of CPU, {:.{}f} MiB", age, count > 1 ? "; together" : ",", duration(cpu_ms),
                       mebibytes, mebibytes < 10 ? 1 : 0);
  }
};

/// Processes of which there is the same to say, but for their pids and what they cost.
struct Alike {
  Row pids, outside;
  std::size_t count = 0;
  bool stands_behind = false;
  Row rest; // of their first line
  std::string command, creators, further;
  Cost cost = {};
};

/// Whether it waits for one of those.
bool waits_for_any_of(const std::set<pid_t> &told, const census::RemainingProcess &process) {
  auto others = census::waits_for(process);
  return std::any_of(others.begin(), others.end(), [&](pid_t pid) { return told.contains(pid); });
}

std::vector<Alike> group_alike(const std::vector<census::RemainingProcess> &processes, const std::string &indent,
                               const std::set<pid_t> &elsewhere) {
  std::vector<Alike> groups;
  std::set<pid_t> told;
  for (const auto &process : processes)
    told.insert(process.pid);
  std::map<std::string, std::size_t> places; // in `groups`
  for (const auto &process : processes) {
    auto row = row_of(process);
    Row rest(row.begin() + 2, row.end());
    bool waits = waits_for_any_of(told, process), is_behind = waits && !process.is_root;
    bool is_wiped = !process.command_line.empty() &&
                    std::all_of(process.command_line.begin(), process.command_line.end(), [](const auto &word) {
                      return word.empty();
                    }); // by the process itself: what ps(1) shows then
    auto command = is_wiped ? fmt::format("[{}]", printable(process.comm)) : command_of(process.command_line),
         further = further_lines(process, indent);
    if (process.is_root && (waits || waits_for_any_of(elsewhere, process)))
      further += indent + "            in a circle: those that it waits for wait for it as well\n";
    auto [place, is_new] = places.emplace(fmt::format("{}\n{}\n{}\n{}\n{}", is_behind, layout::join(rest), command,
                                                      chain_of(process.created_by, false), further),
                                          groups.size());
    if (is_new)
      groups.push_back({.pids = {},
                        .outside = {},
                        .count = 0,
                        .stands_behind = is_behind,
                        .rest = rest,
                        .command = command,
                        .creators = chain_of(process.created_by, true),
                        .further = further});
    auto &group = groups[place->second];
    group.cost.add(process);
    if (++group.count > most_pids)
      continue;
    group.pids.push_back(fmt::to_string(process.pid));
    if (!row[1].empty())
      group.outside.push_back(fmt::to_string(*process.outside_pid));
  }
  return groups;
}

} // namespace

std::string process_lines(const std::string &title, const std::vector<census::RemainingProcess> &processes,
                          const std::string &indent, const std::set<pid_t> &elsewhere) {
  auto ordered = processes;
  census::order_by_roots(ordered);
  auto groups = group_alike(ordered, indent, elsewhere);
  auto shown = std::min(groups.size(), most_shown);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto &group = groups[i];
    auto more = group.count > most_pids ? fmt::format(" and {} more", group.count - most_pids) : "";
    rows.push_back({fmt::format("pid {}{}", fmt::join(group.pids, ", "), more),
                    group.outside.empty() ? "" : fmt::format("host pid {}", fmt::join(group.outside, ", "))});
    rows.back().insert(rows.back().end(), group.rest.begin(), group.rest.end());
  }
  rows = layout::align(std::move(rows));
  std::string text;
  std::size_t told = 0;
  for (std::size_t i = 0; i < shown; ++i) {
    text += fmt::format("{}{:<9} {}\n", indent, groups[i].stands_behind ? "  waits" : title, layout::join(rows[i]));
    for (const auto &line : {groups[i].command, groups[i].stands_behind ? "" : groups[i].cost.text()})
      if (!line.empty())
        text += fmt::format("{}            {}\n", indent, line);
    if (!groups[i].creators.empty())
      text += layout::wrapped(indent + "            created by: ", groups[i].creators, indent.size() + 14);
    text += groups[i].further;
    told += groups[i].count;
  }
  if (told < processes.size())
    text += fmt::format("{}and {} more: the JSON report lists them all\n", indent, processes.size() - told);
  return text;
}

namespace {

std::string adopted_lines(const Report &report, const std::string &indent) {
  std::string text;
  if (!report.genealogy)
    return text;
  std::size_t told = 0;
  for (const auto &group : report.genealogy->adopted) {
    if (++told > most_shown)
      return text + fmt::format("{}and {} more: the JSON report lists them all\n", indent,
                                report.genealogy->adopted.size() - most_shown);
    text += layout::wrapped(indent + "adopted   ",
                            fmt::format("{} {}, created by: {}{}", group.count,
                                        group.name.empty() ? "of unknown name" : printable(group.name),
                                        group.created_by.empty() ? "unknown" : command_of(group.created_by),
                                        group.never_waited_for ? "; it never waited for them" : "; ended after it"),
                            indent.size() + 10);
  }
  return text;
}

} // namespace

std::string remaining_lines(const Report &report, const std::string &indent) {
  auto text = process_lines("hung", report.at_timeout, indent);
  text += process_lines("remains", report.remaining, indent);
  text += adopted_lines(report, indent);
  bool asks_for_creators = !report.remaining.empty() || has_adopted(report);
  if (report.genealogy && !report.genealogy->lacks.empty() && asks_for_creators) {
    auto none = report.genealogy->state == census::GenealogyState::none;
    text += layout::wrapped(fmt::format("{}creators  {}: ", indent, none ? "not known" : "not all known"),
                            printable(report.genealogy->lacks), indent.size() + 10);
  }
  if (report.owner && report.verdict == Verdict::hung) // where shutdown waits
    text += process_lines("owner", {*report.owner}, indent);
  return text;
}

namespace {

std::string zombies_in_words(int zombies) {
  return zombies == 0 ? "" : fmt::format(" ({} zombie{})", zombies, zombies == 1 ? "" : "s");
}

std::string rate(double per_hour) {
  auto [of_hour, name] = per_hour < 2      ? std::pair(24.0, "day")
                         : per_hour < 120  ? std::pair(1.0, "hour")
                         : per_hour < 7200 ? std::pair(1.0 / 60, "minute")
                                           : std::pair(1.0 / 3600, "second");
  auto value = per_hour * of_hour;
  return fmt::format("{:.{}f} a{} {}", value, value < 10 ? 1 : 0, *name == 'h' ? "n" : "", name);
}

} // namespace

std::string sentence_of(const census::Growth &growth) {
  return fmt::format("{} sample{} in {}: {}; {} process{} in the last one{}", growth.looks,
                     growth.looks == 1 ? "" : "s", duration(growth.watched_ms),
                     growth.looks < census::fewest_looks
                         ? fmt::format("too few to say what accumulates: {} are needed", census::fewest_looks)
                         : "nothing accumulates",
                     growth.processes, growth.processes == 1 ? "" : "es", zombies_in_words(growth.zombies));
}

std::string sentence_of(const census::GrowingGroup &group) {
  return fmt::format("{}, started by pid {} ({}), accumulate: from {} to {}{} in {}, {}; {} of {} {} exited",
                     printable(group.comm), group.starter, printable(group.starter_comm), group.from, group.now,
                     zombies_in_words(group.zombies), duration(group.over_ms), rate(group.per_hour),
                     group.ended == 0 ? "none" : fmt::to_string(group.ended), group.seen,
                     group.ended == 1 ? "has" : "have");
}

std::string growth_lines(const std::vector<census::GrowingGroup> &groups, const std::string &indent) {
  std::string text;
  for (const auto &group : groups) {
    text += layout::wrapped(fmt::format("{}{:<9} ", indent, "grows"), sentence_of(group), indent.size() + 10);
    text += process_lines("oldest", {group.oldest}, indent);
  }
  return text;
}

std::string suppression_lines(const Report &report, const std::string &indent) {
  std::string text;
  for (const auto &suppression : report.suppressions) {
    auto rule = printable(suppression.rule), reason = printable(suppression.reason);
    if (suppression.expired)
      text += fmt::format("{}expired   on {}: {} ({})\n", indent, printable(suppression.expires), rule, reason);
    else if (suppression.used > 0)
      text += fmt::format("{}rule      {} lets {} remain ({})\n", indent, rule, suppression.used, reason);
  }
  return text;
}

} // namespace pidleak::reports

// pidleak list: the scenarios, their conditions, and the pools.
#include "harness/cli/pools.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/pool/behaviour.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

constexpr const char *of_servers = "\nScenarios of servers, as is owner-killed\n";

int list() {
  std::string text = "Scenarios\n";
  for (const auto *scenario : scenarios::all()) {
    if (!scenario->is_for(replay::SubjectKind::pool) && text.find(of_servers) == text.npos)
      text += of_servers;
    text += fmt::format("  {}\n      {}\n      ", scenario->name, scenario->summary);
    std::vector<std::string> words;
    for_each_condition(scenario->conditions, [&](const char *name, auto value) {
      if (value != decltype(value){} && std::string(name) != "start-method")
        words.push_back(fmt::format("--{} {}", name, spell(value)));
    });
    std::vector<std::string> methods, tasks;
    for (auto method : scenario->start_methods)
      methods.push_back(spell(method));
    for (auto of_workers : scenario->tasks)
      tasks.push_back(spell(of_workers));
    if (scenario->is_for(replay::SubjectKind::pool))
      words.push_back(fmt::format("--start-method {}", fmt::join(methods, ",")));
    if (!tasks.empty())
      words.push_back(fmt::format("{}--tasks {}", scenario->is_for(replay::SubjectKind::pool) ? "on servers " : "",
                                  fmt::join(tasks, "|")));
    text += fmt::format("{}\n", fmt::join(words, " "));
  }
  text += "\nConditions, each an option of `pidleak run`\n";
  Conditions defaults;
  for_each_condition(defaults, [&](const char *name, auto value) {
    text += fmt::format("  --{:<20} {}\n", name, fmt::join(spellings<decltype(value)>(), ", "));
  });
  text += fmt::format("\nPools (--pool)\n  presets of the minimal pool: {}\n"
                      "  real ones: `pidleak list --pools` finds those of this machine\n",
                      fmt::join(spellings<pool::Preset>(), ", "));
  std::fputs(text.c_str(), stdout);
  return 0;
}

int list_pools() {
  auto text = fmt::format("{:<26} {:<12} {}\n", "--pool", "VERSION", "POOL");
  for (const auto &preset : spellings<pool::Preset>())
    text += fmt::format("{:<26} {:<12} minimal pool\n", preset, PIDLEAK_VERSION);
  for (const auto &found : find_pools())
    text += fmt::format("{:<26} {:<12} {}\n", found.word, found.version, found.pool);
  text += fmt::format("{:<26} {:<12} your own: see PROTOCOL.md\n", "exec:COMMAND", "");
  std::string missing;
  for (const auto &server : find_servers())
    (server.lacks.empty() ? text : missing) +=
        server.lacks.empty() ? fmt::format("{:<26} {:<12} {}\n", server.word, server.version, server.about)
                             : fmt::format("{:<26} {:<12} {}: {}\n", server.word, "-", server.about, server.lacks);
  text += missing +
          fmt::format("{:<26} {:<12} your own: see workers/servers/README.md, or --serve\n", "server:FILE.json", "");
  std::fputs(text.c_str(), stdout);
  return 0;
}

} // namespace

Command list_verb() {
  auto pools = std::make_shared<bool>(false);
  return {.name = "list",
          .summary = "Show the scenarios, their conditions, and the pools",
          .options = {{.name = "--pools",
                       .into = pools.get(),
                       .summary = "Show every pool found on this machine, with its version"}},
          .run = [pools](const Given &) { return *pools ? list_pools() : list(); }};
}

} // namespace pidleak::cli

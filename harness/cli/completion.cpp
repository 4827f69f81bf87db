#include "harness/cli/completion.hpp"

#include "harness/base/spelling.hpp"
#include "harness/pool/behaviour.hpp"
#include "reports/report.hpp"
#include "scenarios/scenarios.hpp"

#include <sstream>

namespace pidleak::cli {
namespace {

using Kind = Candidates::Kind;

std::vector<std::string> with(std::vector<std::string> words, const std::string &another) {
  words.push_back(another);
  return words;
}

/// No replay is attached to anything.
std::vector<std::string> replay_tiers() {
  auto tiers = spellings<reports::Tier>();
  std::erase(tiers, spell(reports::Tier::attached));
  return tiers;
}

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto *scenario : scenarios::all())
    names.push_back(scenario->name);
  return names;
}

/// "fork, spawn": how the options of type WORD are described.
std::vector<std::string> comma_separated(const std::string &text) {
  std::vector<std::string> words;
  std::istringstream rest(text);
  for (std::string word; std::getline(rest >> std::ws, word, ',');)
    words.push_back(word);
  return words;
}

/// By the type that the help shows, or the name of a positional argument.
Candidates candidates(const CLI::Option &option) {
  auto type = option.get_positional() ? option.get_name() : option.get_type_name();
  if (type == "WORD")
    return {Kind::words, comma_separated(option.get_description())};
  if (type == "SCENARIO")
    return {Kind::words, with(scenario_names(), "all")};
  if (type == "POOL")
    return {Kind::words, with(spellings<pool::Preset>(), "all")};
  if (type == "METHOD")
    return {Kind::words, with(spellings<StartMethod>(), "all")};
  if (type == "TIER")
    return {Kind::words, replay_tiers()};
  if (type == "SHELL")
    return {Kind::words, {"bash", "zsh", "fish"}};
  if (type == "FILE" || type == "BEFORE" || type == "AFTER")
    return {Kind::files};
  if (type == "COMMAND")
    return {Kind::command};
  return {};
}

std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

} // namespace

CompletedVerb describe_for_completion(const CLI::App &app) {
  CompletedVerb verb{.name = app.get_name(), .summary = first_line(app.get_description())};
  for (const auto *option : app.get_options([](const CLI::Option *) { return true; })) {
    if (option->get_positional()) {
      verb.arguments = candidates(*option);
      continue;
    }
    std::vector<std::string> names;
    for (const auto &name : option->get_lnames())
      names.push_back("--" + name);
    for (const auto &name : option->get_snames())
      names.push_back("-" + name);
    bool takes_value = option->get_items_expected_max() > 0;
    verb.options.push_back({std::move(names), first_line(option->get_description()), takes_value,
                            takes_value ? candidates(*option) : Candidates{}});
  }
  for (const auto *below : app.get_subcommands([](const CLI::App *command) { return !command->get_group().empty(); }))
    verb.verbs.push_back(describe_for_completion(*below));
  return verb;
}

} // namespace pidleak::cli

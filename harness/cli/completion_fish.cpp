// A line an option, each with the condition under which it holds.
#include "harness/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pidleak::cli {
namespace {

using Kind = Candidates::Kind;

std::string values(const Candidates &candidates) {
  switch (candidates.kind) {
  case Kind::words:
    return fmt::format(" -x -a {}", shell_quoted(fmt::format("{}", fmt::join(candidates.words, " "))));
  case Kind::files:
    return " -r -F";
  case Kind::command: // of the line without `pidleak guard`
    return " -x -a '(__fish_complete_subcommand --fcs-skip=2)'";
  case Kind::nothing_known:
    break;
  }
  return " -x";
}

/// The condition under which `verb`, which is below `app`, was given: not as a word of a command that another verb
/// runs.
std::string given(const CompletedVerb &app, const CompletedVerb &verb) {
  auto condition = "__fish_seen_subcommand_from " + verb.name;
  if (verb.arguments.kind != Kind::command)
    for (const auto &other : app.verbs)
      if (other.arguments.kind == Kind::command)
        condition += "; and not __fish_seen_subcommand_from " + other.name;
  return condition;
}

/// `path`: the condition under which the user has come here.
std::string lines(const CompletedVerb &verb, const std::string &path) {
  std::vector<std::string> below;
  for (const auto &one : verb.verbs)
    below.push_back(one.name);
  auto names = fmt::format("{}", fmt::join(below, " "));
  auto when = path;
  if (!below.empty())
    when += fmt::format("{}not __fish_seen_subcommand_from {}", path.empty() ? "" : "; and ", names);
  auto begin = fmt::format("complete -c pidleak -n {}", shell_quoted(when));
  std::string text;
  for (const auto &option : verb.options) {
    text += begin;
    for (const auto &name : option.names)
      text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    text += fmt::format(" -d {}{}\n", shell_quoted(option.summary), option.takes_value ? values(option.value) : "");
  }
  if (verb.arguments.kind != Kind::nothing_known)
    text += begin + values(verb.arguments) + "\n";
  for (const auto &one : verb.verbs) {
    text += fmt::format("{} -a {} -d {}\n", begin, one.name, shell_quoted(one.summary));
    text += lines(one, fmt::format("{}{}{}", path, path.empty() ? "" : "; and ", given(verb, one)));
  }
  return text;
}

} // namespace

std::string fish_completion(const CompletedVerb &app) {
  return "# fish completion for pidleak, written by `pidleak completions fish`\n\ncomplete -c pidleak -f\n" +
         lines(app, "");
}

} // namespace pidleak::cli

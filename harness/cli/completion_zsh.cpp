// A function a verb, each a call of zsh's _arguments.
#include "harness/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pidleak::cli {
namespace {

using Kind = Candidates::Kind;

/// What _arguments itself would read as its own signs.
std::string escaped(const std::string &text) {
  std::string escaped;
  for (char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\')
      escaped += '\\';
    escaped += c;
  }
  return escaped;
}

/// ":message:action", or the same for a rest of arguments.
std::string action(const Candidates &candidates, const std::string &message) {
  switch (candidates.kind) {
  case Kind::words:
    return fmt::format(":{}:({})", message, fmt::join(candidates.words, " "));
  case Kind::files:
    return fmt::format(":{}:_files", message);
  case Kind::command:
    return fmt::format(":{}: _pidleak__command", message);
  case Kind::nothing_known:
    break;
  }
  return fmt::format(":{}: ", message);
}

std::string option_specs(const CompletedVerb &verb) {
  std::string text;
  for (const auto &option : verb.options)
    for (const auto &name : option.names) {
      // --output=FILE as well as --output FILE
      const char *joint = !option.takes_value ? "" : name.starts_with("--") ? "=" : "+";
      auto spec = fmt::format("*{}{}[{}]", name, joint, escaped(option.summary));
      if (option.takes_value)
        spec += action(option.value, "value");
      text += fmt::format(" \\\n    {}", shell_quoted(spec));
    }
  return text;
}

std::string rest_spec(const Candidates &arguments) {
  if (arguments.kind == Kind::nothing_known)
    return "";
  const char *rest = arguments.kind == Kind::command ? "*:" : "*"; // what the words array is within the command's own
  return fmt::format(" \\\n    {}", shell_quoted(rest + action(arguments, "argument")));
}

std::string function(const CompletedVerb &verb, const std::string &name) {
  if (verb.verbs.empty())
    return fmt::format("{}() {{\n  _arguments -s -S{}{}\n}}\n\n", name, option_specs(verb), rest_spec(verb.arguments));
  std::string described, calls, functions;
  for (const auto &below : verb.verbs) {
    described += fmt::format("\n        {}", shell_quoted(below.name + ":" + escaped(below.summary)));
    calls += fmt::format("\n        {0}) {1}_{0} ;;", below.name, name);
    functions += function(below, name + "_" + below.name);
  }
  // A verb of `report` stands where its files may stand as well.
  auto otherwise = verb.arguments.kind == Kind::files
                       ? "_arguments -s -S" + option_specs(verb) + rest_spec(verb.arguments)
                       : "_message 'no such command'";
  return fmt::format(R"({functions}{name}() {{
  local context state state_descr line curcontext=$curcontext
  typeset -A opt_args
  _arguments -C{options} \
    '1: :->verb' '*:: :->rest'
  case $state in
    verb)
      local -a verbs=({described}
      )
      _describe command verbs
      {also}
      ;;
    rest)
      case $line[1] in{calls}
        *) {otherwise} ;;
      esac
      ;;
  esac
}}

)",
                     fmt::arg("functions", functions), fmt::arg("name", name), fmt::arg("options", option_specs(verb)),
                     fmt::arg("described", described),
                     fmt::arg("also", verb.arguments.kind == Kind::files ? "_files" : ""), fmt::arg("calls", calls),
                     fmt::arg("otherwise", otherwise));
}

/// The command that guard is to run is what is left of the line, with or without the -- before it.
constexpr const char *command_function = R"(_pidleak__command() {
  if [[ $words[1] == -- ]]; then
    shift words
    ((CURRENT--))
  fi
  _normal
}

)";

} // namespace

std::string zsh_completion(const CompletedVerb &app) {
  return std::string("#compdef pidleak\n# zsh completion for pidleak, written by `pidleak completions zsh`\n\n") +
         command_function + function(app, "_pidleak") + "_pidleak \"$@\"\n";
}

} // namespace pidleak::cli

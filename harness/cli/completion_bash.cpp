// Two tables, what a verb takes and what an option takes, and the code that looks up in them.
#include "harness/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pidleak::cli {
namespace {

using Kind = Candidates::Kind;

/// Sets `words`, or leaves it empty: readline completes file names then.
std::string set_words(const std::vector<std::string> &words) {
  return fmt::format("words={}", shell_quoted(fmt::format("{}", fmt::join(words, " "))));
}

std::string value_cases(const CompletedVerb &verb, const std::string &path) {
  std::string text;
  for (const auto &option : verb.options)
    if (option.takes_value)
      for (const auto &name : option.names)
        text += fmt::format("    '{} {}') {}; takes_value=1 ;;\n", path, name, set_words(option.value.words));
  for (const auto &below : verb.verbs)
    text += value_cases(below, path + " " + below.name);
  return text;
}

std::string verb_cases(const CompletedVerb &verb, const std::string &path) {
  std::vector<std::string> options, arguments = verb.arguments.words;
  for (const auto &option : verb.options)
    options.insert(options.end(), option.names.begin(), option.names.end());
  for (const auto &below : verb.verbs)
    arguments.push_back(below.name);
  auto text = fmt::format("    '{}') options={}; {} ;;\n", path,
                          shell_quoted(fmt::format("{}", fmt::join(options, " "))), set_words(arguments));
  for (const auto &below : verb.verbs)
    text += verb_cases(below, path + " " + below.name);
  return text;
}

/// The verbs as patterns, and those of them that are followed by a command of their own.
void collect_paths(const CompletedVerb &verb, const std::string &path, std::vector<std::string> &paths,
                   std::vector<std::string> &with_command) {
  for (const auto &below : verb.verbs) {
    auto name = path + " " + below.name;
    paths.push_back(shell_quoted(name));
    if (below.arguments.kind == Kind::command)
      with_command.push_back(shell_quoted(name));
    collect_paths(below, name, paths, with_command);
  }
}

constexpr const char *script = R"(# bash completion for pidleak, written by `pidleak completions bash`

# What the option $2 of the verb $1 takes: takes_value is empty if nothing.
_pidleak_value() {{
  words='' takes_value=''
  case "$1 $2" in
{values}  esac
}}

_pidleak() {{
  local path='' options words takes_value word i
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case "$path $word" in
      {paths}) path+=" $word"; continue ;;
    esac
    case $path in
      {with_command}) ;;
      *) continue ;;
    esac
    # The command that guard is to run begins at the first word that is neither an option nor the value of one.
    if [[ $word == -- ]]; then
      _pidleak_command $((i + 1))
      return
    fi
    if [[ $word != -* ]]; then
      _pidleak_command $i
      return
    fi
    _pidleak_value "$path" "$word"
    [[ -z $takes_value ]] || ((i += 1))
    [[ ${{COMP_WORDS[i]}} != = ]] || ((i += 1)) # --option=value is three words
  done
  [[ $cur != = ]] || {{ prev=${{COMP_WORDS[COMP_CWORD-1]}} cur=''; }}
  [[ $prev != = ]] || prev=${{COMP_WORDS[COMP_CWORD-2]}}
  _pidleak_value "$path" "$prev"
  if [[ -z $takes_value ]]; then
    case $path in
{verbs}    esac
    [[ $cur != -* ]] || words=$options
    case $path in
      {with_command}) [[ $cur == -* ]] || {{ _pidleak_command "$COMP_CWORD"; return; }} ;;
    esac
  fi
  [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}}

# Completes from word $1 on as if the line began there.
_pidleak_command() {{
  if declare -F _comp_command_offset >/dev/null; then
    _comp_command_offset "$1"
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif (($1 == COMP_CWORD)); then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  fi
}}

complete -o default -F _pidleak pidleak
)";

} // namespace

std::string bash_completion(const CompletedVerb &app) {
  std::vector<std::string> paths, with_command;
  collect_paths(app, "", paths, with_command);
  return fmt::format(fmt::runtime(script), fmt::arg("values", value_cases(app, "")),
                     fmt::arg("verbs", verb_cases(app, "")),
                     fmt::arg("paths", fmt::format("{}", fmt::join(paths, " | "))),
                     fmt::arg("with_command", fmt::format("{}", fmt::join(with_command, " | "))));
}

} // namespace pidleak::cli

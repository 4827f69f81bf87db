#include "harness/cli/completion.hpp"

namespace pidleak::cli {
namespace {

using Kind = Candidates::Kind;

Candidates candidates(const Option &option, const Command &command) {
  if (!option.words.empty())
    return {Kind::words, option.words};
  if (option.is_argument())
    return {command.takes_command ? Kind::command : Kind::files};
  return {option.value == "FILE" ? Kind::files : Kind::nothing_known};
}

std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

CompletedVerb describe(const Command &command) {
  CompletedVerb verb{.name = command.name, .summary = first_line(command.summary)};
  verb.options.push_back({{"--help", "-h"}, "Print this help message and exit", false, {}});
  for (const auto &option : command.options)
    if (option.is_argument())
      verb.arguments = candidates(option, command);
    else if (!option.hidden) {
      bool takes_value = !std::holds_alternative<bool *>(option.into);
      verb.options.push_back({option.names(), first_line(option.summary), takes_value,
                              takes_value ? candidates(option, command) : Candidates{}});
    }
  for (const auto &below : command.below)
    if (!below.hidden)
      verb.verbs.push_back(describe(below));
  return verb;
}

} // namespace

CompletedVerb describe_for_completion(const Command &application) {
  auto described = describe(application);
  described.options.push_back({{"--version"}, "Display program version information and exit", false, {}});
  return described;
}

} // namespace pidleak::cli

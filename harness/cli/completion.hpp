// What a shell has to know to complete a command line of pidleak: taken from what is parsed, so that it can't differ.
#pragma once

#include "harness/cli/command_line.hpp"
#include "harness/cli/shell.hpp"

#include <string>
#include <vector>

namespace pidleak::cli {

/// What may stand for a value.
struct Candidates {
  enum class Kind { nothing_known, words, files, command } kind = Kind::nothing_known;
  std::vector<std::string> words = {};
};

struct CompletedOption {
  std::vector<std::string> names; // as typed: --output, -o
  std::string summary;
  bool takes_value;
  Candidates value;
};

struct CompletedVerb {
  std::string name, summary;
  std::vector<CompletedOption> options;
  Candidates arguments;
  std::vector<CompletedVerb> verbs; // below this one
};

/// The application and, below it, its verbs; hidden ones are left out.
CompletedVerb describe_for_completion(const Command &application);

/// The shell's own script.
std::string bash_completion(const CompletedVerb &app);
std::string zsh_completion(const CompletedVerb &app);
std::string fish_completion(const CompletedVerb &app);

} // namespace pidleak::cli

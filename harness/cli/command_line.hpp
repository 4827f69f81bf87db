// What a command line takes, as plain data: verbs, their options and arguments. The parser, the help and the shells'
// completions are made of it. Only command_line.cpp meets CLI11, which takes seconds to compile.
#pragma once

#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pidleak::cli {

/// Where a value goes. It must live until the verb has run. bool: the option takes no value. double: seconds where the
/// value is called so, and `10`, `500ms`, `2m` are understood.
using Into = std::variant<bool *, int *, double *, std::string *, std::vector<std::string> *,
                          std::function<void(const std::string &)>>;

struct Option {
  std::string name; // `-o,--output`; an argument, which has no name of its own: `FILE`
  Into into;
  std::string summary;
  std::string value = "TEXT";                          // what the help calls its value
  std::vector<std::string> words = {};                 // that may stand for a value, as far as they are known
  bool only_words = false;                             // others are refused
  std::optional<std::pair<double, double>> range = {}; // of a number, both included
  bool shows_default = false;
  bool required = false;
  bool separated = false; // one value may be several, with commas between
  std::string group = {};
  bool hidden = false;

  bool is_argument() const { return !name.starts_with('-'); }
  /// As typed, the long ones first: `--output`, `-o`.
  std::vector<std::string> names() const;
};

inline void append(std::vector<Option> &options, std::vector<Option> more) {
  options.insert(options.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// The options that the user gave, by their long names: `--output`.
using Given = std::set<std::string>;

struct Command {
  std::string name, summary;
  std::vector<Option> options = {};
  std::string footer = {}; // of the help
  std::vector<Command> below = {};
  bool hidden = false;
  bool takes_command = false; // what follows its first argument belongs to a command, options included
  std::vector<std::string> *command_after_dashes = nullptr; // a command may follow after `--`: it goes here
  /// Gives the exit status of DESIGN: 0 clean, 1 a leak or a hang, 2 usage, 3 invalid, 4 skipped, 5 the
  /// harness broke. Not set: one of those below must be named.
  std::function<int(const Given &)> run = {};
};

/// What the user asked for can't be done as asked: status 2, and one line on stderr.
class UsageError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Parses, and runs the command that was named. The status: that command's; 0 after --help and --version; 2 if the
/// words can't be understood, which standard error says. Throws what the command throws.
int run(const Command &application, const std::string &version, std::vector<std::string> arguments);

} // namespace pidleak::cli

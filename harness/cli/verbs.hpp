// The verbs of the command line, one file each. Each adds its options to the application; when it is the one that
// was called, its callback sets `status`, the exit status of DESIGN: 0 as it should be, 1 a leak or a hang, 2 usage,
// 3 invalid, 4 skipped, 5 the harness broke.
#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <string>
#include <vector>

namespace pidleak::cli {

void add_list(CLI::App &app, int &status);
void add_run(CLI::App &app, int &status);
void add_compare(CLI::App &app, int &status);
void add_ablate(CLI::App &app, int &status);
void add_report(CLI::App &app, int &status);
void add_check_adapter(CLI::App &app, int &status);
void add_guard(CLI::App &app, int &status);
/// To be done with its arguments before they are parsed: CLI11 would take a command's `[a,b]` for two arguments.
std::vector<std::string> keep_whole(std::vector<std::string> arguments);
void add_doctor(CLI::App &app, int &status);
void add_completions(CLI::App &app, int &status);

/// What the user asked for can't be done as asked: status 2, and one line on stderr.
class UsageError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// As CLI::Range, but it tells a number from what is none, and the help does not spell it out beside the option's name.
template <class T>
CLI::Validator between(T least, T most) {
  auto check = [least, most](const std::string &text) -> std::string {
    T value{};
    if (!CLI::detail::lexical_cast(text, value))
      return fmt::format("\"{}\" is no number", text);
    return value >= least && value <= most ? "" : fmt::format("{} is not from {} to {}", text, least, most);
  };
  return {check, ""};
}

/// Colour is for terminals, and not where NO_COLOR is set (no-color.org).
bool wants_colour(int fd);

} // namespace pidleak::cli

#include "harness/cli/command_line.hpp"

#include "harness/base/suggestion.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <type_traits>

namespace pidleak::cli {
namespace {

/// Before an argument that CLI11 would not leave as it is: `[a,b]` would become two.
constexpr char mark = '\x1f';

std::string unmarked(const std::string &text) { return text.starts_with(mark) ? text.substr(1) : text; }

std::string refused_number(const std::string &text, double least, double most, bool whole) {
  double value = 0;
  if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value))
    return fmt::format("\"{}\" is not a number", text);
  if (whole && value != std::floor(value))
    return fmt::format("{} is not a whole number", text);
  return value >= least && value <= most ? "" : fmt::format("{} is out of range: must be {} to {}", text, least, most);
}

/// `2m` as seconds; what is no such time is left for others to refuse.
std::string as_seconds(const std::string &text) {
  static const std::map<std::string, double> units = {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}};
  auto end = text.find_last_of("0123456789.");
  double number = 0;
  auto unit = end == text.npos ? units.end() : units.find(text.substr(end + 1));
  if (unit == units.end() || !CLI::detail::lexical_cast(text.substr(0, end + 1), number))
    return text;
  return fmt::format("{}", number * unit->second);
}

void add_checks(CLI::Option &added, const Option &option) {
  if (option.range)
    added.check({[range = *option.range, whole = std::holds_alternative<int *>(option.into)](std::string &text) {
                   return refused_number(text, range.first, range.second, whole);
                 },
                 ""});
  if (option.value == "SECONDS")
    added.transform({[](std::string &text) {
                       text = as_seconds(text);
                       return std::string();
                     },
                     ""});
  if (option.only_words)
    added.check({[words = option.words](const std::string &text) {
                   return std::find(words.begin(), words.end(), text) != words.end()
                              ? ""
                              : fmt::format("{} is not known{}", text, suggestion(text, words));
                 },
                 ""});
}

CLI::Option *add(CLI::App &app, const Option &option) {
  auto *added = std::visit(
      [&](const auto &into) {
        using T = std::decay_t<decltype(into)>;
        if constexpr (std::is_same_v<T, bool *>)
          return app.add_flag(option.name, *into, option.summary);
        else if constexpr (std::is_pointer_v<T>)
          return app.add_option(option.name, *into, option.summary);
        else
          return app.add_option_function<std::string>(
              option.name, [into](const std::string &text) { into(unmarked(text)); }, option.summary);
      },
      option.into);
  if (!std::holds_alternative<bool *>(option.into)) {
    added->type_name(option.value);
    if (!option.is_argument())
      added->allow_extra_args(false);
    add_checks(*added, option);
  }
  if (option.separated)
    added->delimiter(',');
  if (option.shows_default)
    added->capture_default_str();
  added->required(option.required);
  if (option.hidden || !option.group.empty())
    added->group(option.group);
  return added;
}

/// One command, with what CLI11 made of it.
struct Added {
  const Command *command;
  CLI::App *app;
  std::vector<std::pair<const Option *, CLI::Option *>> options = {};
};

void add(std::vector<Added> &all, const Command &command, CLI::App &app) {
  Added added{.command = &command, .app = &app};
  for (const auto &option : command.options)
    added.options.emplace_back(&option, add(app, option));
  if (!command.footer.empty())
    app.footer(command.footer);
  app.positionals_at_end(command.takes_command);
  all.push_back(std::move(added));
  for (const auto &below : command.below) {
    auto *its = app.add_subcommand(below.name, below.summary);
    if (below.hidden)
      its->group("");
    add(all, below, *its);
  }
  if (!command.below.empty())
    app.require_subcommand(command.run ? 0 : 1, 1);
}

/// The last that was named.
const Added &chosen(const std::vector<Added> &all) {
  const auto *named = &all.front();
  for (const auto &added : all)
    if (added.app->parsed())
      named = &added;
  return *named;
}

/// `pidleak report diff`.
std::string path_of(const CLI::App *app) {
  return app->get_parent() ? path_of(app->get_parent()) + " " + app->get_name() : app->get_name();
}

/// An option that is not known may be one that is, written wrongly.
std::string meant(const Added &added, const CLI::ParseError &error) {
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError))
    return "";
  std::vector<std::string> known = {"--help", "--version"};
  for (const auto &option : added.command->options)
    if (!option.hidden && !option.is_argument())
      known.push_back(option.names().front());
  for (const auto &word : added.app->remaining(true))
    if (word.starts_with("--")) {
      const auto *nearest = nearest_of(word.substr(0, word.find('=')), known);
      return nearest ? fmt::format("; did you mean {}?", *nearest) : "";
    }
  return "";
}

/// Cuts off what follows the first `--`, if the verb takes a command there.
void take_command(const Command &application, std::vector<std::string> &arguments) {
  auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  for (const auto &verb : application.below)
    if (verb.command_after_dashes && !arguments.empty() && arguments.front() == verb.name &&
        dashes != arguments.end()) {
      verb.command_after_dashes->assign(dashes + 1, arguments.end());
      if (verb.command_after_dashes->empty())
        throw UsageError(fmt::format("{}: no command follows after --", verb.name));
      arguments.erase(dashes, arguments.end());
      return;
    }
}

} // namespace

int run(const Command &application, const std::string &version, std::vector<std::string> arguments) {
  CLI::App app{application.summary};
  app.name(application.name);
  app.set_version_flag("--version", version);
  app.get_formatter()->column_width(34);
  std::vector<Added> all;
  add(all, application, app);

  take_command(application, arguments);
  for (auto &argument : arguments)
    if (argument.starts_with('[') || argument.starts_with(mark))
      argument.insert(0, 1, mark);
  std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    const auto &added = chosen(all);
    auto path = path_of(added.app);
    fmt::print(stderr, "{}: {}{}\nRun {} --help for more information.\n", path, error.what(), meant(added, error),
               path);
    return 2;
  }
  const auto &added = chosen(all);
  Given given;
  for (const auto &[option, parsed] : added.options) {
    if (parsed->count() > 0)
      given.insert(option->names().front());
    if (const auto *text = std::get_if<std::string *>(&option->into))
      **text = unmarked(**text);
    else if (const auto *texts = std::get_if<std::vector<std::string> *>(&option->into))
      std::transform((*texts)->begin(), (*texts)->end(), (*texts)->begin(), unmarked);
  }
  return added.command->run(given);
}

} // namespace pidleak::cli

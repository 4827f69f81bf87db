#include "harness/cli/pools.hpp"

#include "harness/cli/verbs.hpp"
#include "harness/os/launch.hpp"
#include "harness/pool/behaviour.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace pidleak::cli {
namespace {

constexpr std::string_view exec_prefix = "exec:";

replay::PoolChoice preset(const std::string &name) {
  auto known = spellings<pool::Preset>();
  if (!parse_spelling<pool::Preset>(name))
    throw UsageError(fmt::format("--pool {}: not known{}", name, suggestion(name, known)));
  return {.name = name, .program = os::sibling_program("pidleak-subject"), .arguments = {}, .preset = name};
}

replay::PoolChoice command(const std::string &word) {
  auto arguments = CLI::detail::split_up(word.substr(exec_prefix.size()));
  if (arguments.empty())
    throw UsageError("--pool exec: names no command");
  auto program = os::find_on_path(arguments.front());
  if (program.empty() || ::access(program.c_str(), X_OK) != 0)
    throw UsageError(fmt::format("--pool {}: {} can't be executed", word, arguments.front()));
  arguments.erase(arguments.begin());
  return {.name = word, .program = program, .arguments = arguments, .preset = ""};
}

} // namespace

std::vector<replay::PoolChoice> choose_pools(const std::vector<std::string> &words) {
  std::vector<replay::PoolChoice> chosen;
  for (const auto &word : words) {
    if (word.starts_with(exec_prefix)) { // the command may have commas of its own
      chosen.push_back(command(word));
      continue;
    }
    for (const auto &name : CLI::detail::split(word, ',')) {
      if (name != "all")
        chosen.push_back(preset(name));
      else
        for (const auto &each : spellings<pool::Preset>())
          chosen.push_back(preset(each));
    }
  }
  return chosen;
}

} // namespace pidleak::cli

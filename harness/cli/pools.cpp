#include "harness/cli/pools.hpp"

#include "harness/base/suggestion.hpp"
#include "harness/cli/command_line.hpp"
#include "harness/cli/interpreters.hpp"
#include "harness/os/installation.hpp"
#include "harness/os/launch.hpp"
#include "harness/pool/behaviour.hpp"

#include <CLI/StringTools.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pidleak::cli {
namespace {

constexpr std::string_view exec_prefix = "exec:";

replay::PoolChoice preset(const std::string &name) {
  return {.name = name, .program = os::sibling_program("pidleak-subject"), .arguments = {}, .preset = name};
}

replay::PoolChoice command(const std::string &word) {
  auto arguments = CLI::detail::split_up(word.substr(exec_prefix.size()));
  if (arguments.empty())
    throw UsageError("--pool exec: names no command");
  auto program = os::find_on_path(arguments.front());
  if (program.empty() || ::access(program.c_str(), X_OK) != 0)
    throw UsageError(
        fmt::format("{}: {} can't be executed: not found, or not executable (chmod +x)", word, arguments.front()));
  arguments.erase(arguments.begin());
  return {.name = word, .program = program, .arguments = arguments, .preset = "", .shares_nothing = false};
}

/// A pool of another project, hosted by one of our adapters.
struct Adapter {
  std::string word, script;
  std::string pool;         // for people
  std::string module = {};  // Python's: what has to be importable
  std::string program = {}; // another language's: what runs the script, and tells its --version
};

/// A new one is a line here, and its script in workers/adapters.
const std::vector<Adapter> &adapters() {
  static const std::vector<Adapter> all = {
      {"python", "python_executor.py", "concurrent.futures.ProcessPoolExecutor", "concurrent.futures"},
      {"multiprocessing", "python_multiprocessing.py", "multiprocessing.Pool", "multiprocessing"},
      {"loky", "loky_pool.py", "loky, as joblib ships it", "joblib.externals.loky"},
      {"billiard", "billiard_pool.py", "billiard.Pool", "billiard"},
      {.word = "node", .script = "node_pool.js", .pool = "child_process workers of Node", .program = "node"}};
  return all;
}

bool is_bundled(const Adapter &adapter) { return adapter.word == "python" || adapter.word == "multiprocessing"; }

/// The interpreter for an adapter: the one that is wanted, or the first that has the module.
std::optional<Interpreter> interpreter_for(const Adapter &adapter, const std::string &wanted, std::string &lacks) {
  auto interpreter = find_interpreter(wanted);
  if (!interpreter) {
    lacks = wanted.empty() ? "this machine has no python3" : fmt::format("this machine has no Python {}", wanted);
    return {};
  }
  if (is_bundled(adapter) || version_of_module(*interpreter, adapter.module))
    return interpreter;
  if (wanted.empty()) {
    auto systems = find_interpreter("/usr/bin/python3"); // most often the one with modules, and soon asked
    if (systems && version_of_module(*systems, adapter.module))
      return systems;
    for (const auto &other : find_interpreters())
      if (version_of_module(other, adapter.module))
        return other;
  }
  lacks = fmt::format("{} is not installed for {}", adapter.word,
                      wanted.empty() ? "any Python of this machine" : interpreter->path);
  return {};
}

replay::PoolChoice python_pool(const Adapter &adapter, const std::string &name, const std::string &wanted) {
  replay::PoolChoice choice{.name = name, .program = "", .arguments = {}, .preset = ""};
  if (auto interpreter = interpreter_for(adapter, wanted, choice.lacks)) {
    choice.program = interpreter->path;
    choice.arguments = {os::sibling_file("adapters/" + adapter.script)};
  }
  return choice;
}

replay::PoolChoice other_pool(const Adapter &adapter, const std::string &name, const std::string &wanted) {
  const auto &program = wanted.empty() ? adapter.program : wanted;
  replay::PoolChoice choice{.name = name, .program = os::find_on_path(program)};
  choice.arguments = {os::sibling_file("adapters/" + adapter.script)};
  if (choice.program.empty() || ::access(choice.program.c_str(), X_OK) != 0)
    choice.lacks = "this machine has no " + program;
  return choice;
}

replay::PoolChoice choose(const std::string &name) {
  if (parse_spelling<pool::Preset>(name))
    return preset(name);
  auto kind = name.substr(0, name.find(':'));
  auto wanted = kind.size() < name.size() ? name.substr(kind.size() + 1) : "";
  auto known = spellings<pool::Preset>();
  for (const auto &adapter : adapters()) {
    if (adapter.word == kind)
      return adapter.program.empty() ? python_pool(adapter, name, wanted) : other_pool(adapter, name, wanted);
    known.push_back(adapter.word);
  }
  known.insert(known.end(), {"server:NAME", "exec:COMMAND", "all"});
  throw UsageError(fmt::format("--pool {}: not known{}", name, suggestion(kind, known)));
}

/// The first version in what a program says of itself: `nginx version: nginx/1.22.1` has 1.22.1.
std::string number_in(const std::string &text) {
  auto is_digit = [](unsigned char c) { return c >= '0' && c <= '9'; };
  for (auto dot = text.find('.'); dot != text.npos; dot = text.find('.', dot + 1)) {
    auto begin = dot, end = dot + 1;
    while (begin > 0 && is_digit(static_cast<unsigned char>(text[begin - 1])))
      --begin;
    while (end < text.size() && (is_digit(static_cast<unsigned char>(text[end])) || text[end] == '.'))
      ++end;
    if (begin < dot && end > dot + 1)
      return text.substr(begin, end - begin);
  }
  return text.substr(0, text.find('\n'));
}

constexpr std::string_view server_prefix = "server:", description_suffix = ".json";

/// The descriptions that come with pidleak, by name.
std::vector<std::string> described_servers() {
  std::vector<std::string> names;
  std::error_code none_are_there;
  for (const auto &entry : std::filesystem::directory_iterator(os::sibling_file("servers"), none_are_there))
    if (entry.path().extension() == description_suffix)
      names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

/// What is described is often not installed.
std::string lacks_of(const replay::ServerDescription &server) {
  for (const auto &program : server.programs)
    if (::access(program.c_str(), F_OK) != 0)
      return fmt::format("{} is not here{}", program,
                         server.packages.empty()
                             ? ""
                             : fmt::format("; on Debian: apt-get install {}", fmt::join(server.packages, " ")));
  return "";
}

/// `server:gunicorn`, or `server:./my.json`.
replay::PoolChoice server(const std::string &word) try {
  auto name = word.substr(server_prefix.size());
  auto known = described_servers();
  bool is_path = name.find('/') != name.npos || name.ends_with(description_suffix);
  if (!is_path && std::find(known.begin(), known.end(), name) == known.end())
    throw UsageError(fmt::format("--pool {}: no server of that name{}; a description of your own: server:./my.json",
                                 word, suggestion(name, known)));
  replay::PoolChoice choice{.name = word, .program = ""};
  choice.server = replay::read_server_description(
      is_path ? name : os::sibling_file(fmt::format("servers/{}{}", name, description_suffix)));
  choice.lacks = lacks_of(*choice.server);
  return choice;
} catch (const std::invalid_argument &e) {
  throw UsageError(e.what());
}

} // namespace

std::vector<replay::PoolChoice> choose_pools(const std::vector<std::string> &words) {
  std::vector<replay::PoolChoice> chosen;
  for (const auto &word : words) {
    if (word.starts_with(exec_prefix)) { // the command may have commas of its own
      chosen.push_back(command(word));
      continue;
    }
    for (const auto &name : CLI::detail::split(word, ','))
      if (name.starts_with(server_prefix))
        chosen.push_back(server(name));
      else if (name != "all")
        chosen.push_back(choose(name));
      else
        for (const auto &each : spellings<pool::Preset>())
          chosen.push_back(preset(each));
  }
  return chosen;
}

std::vector<FoundPool> find_pools() {
  std::vector<FoundPool> found;
  for (const auto &interpreter : find_interpreters())
    for (const auto &adapter : adapters())
      if (adapter.program.empty()) {
        auto version = is_bundled(adapter) ? interpreter.version : version_of_module(interpreter, adapter.module);
        if (version)
          found.push_back(
              {.word = adapter.word + ":" + interpreter.version, .pool = adapter.pool, .version = *version});
      }
  for (const auto &adapter : adapters())
    if (auto program = os::find_on_path(adapter.program); !adapter.program.empty() && !program.empty())
      if (auto version = os::output_of({.program = program, .arguments = {"--version"}}))
        found.push_back(
            {.word = adapter.word, .pool = adapter.pool, .version = version->substr(0, version->find('\n'))});
  return found;
}

std::vector<DescribedServer> find_servers() {
  std::vector<DescribedServer> found;
  for (const auto &name : described_servers()) {
    auto choice = server(fmt::format("{}{}", server_prefix, name));
    DescribedServer one{.word = choice.name, .about = choice.server->about, .version = "", .lacks = choice.lacks};
    if (const auto &words = choice.server->version; one.lacks.empty() && !words.empty())
      one.version = number_in(
          os::output_of({.program = words.front(), .arguments = {words.begin() + 1, words.end()}}).value_or(""));
    found.push_back(std::move(one));
  }
  return found;
}

} // namespace pidleak::cli

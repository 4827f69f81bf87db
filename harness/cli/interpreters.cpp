#include "harness/cli/interpreters.hpp"

#include "harness/os/launch.hpp"

#include <fmt/format.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace pidleak::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char *tell_version = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";

/// Asks the program itself: python3 may be a wrapper around another one.
std::optional<Interpreter> ask(const std::string &program) {
  if (program.empty() || ::access(program.c_str(), X_OK) != 0)
    return {};
  auto said = os::output_of({.program = program, .arguments = {"-I", "-c", tell_version}});
  if (!said)
    return {};
  auto end = said->find('\n'), last = said->find('\n', end + 1);
  if (end == said->npos || last == said->npos)
    return {};
  return Interpreter{.path = said->substr(0, end), .version = said->substr(end + 1, last - end - 1)};
}

std::vector<std::string> candidates() {
  std::vector<std::string> found = {os::find_on_path("python3"), "/usr/bin/python3"};
  for (int minor = 6; minor < 30; ++minor)
    found.push_back(os::find_on_path(fmt::format("python3.{}", minor)));
  const char *root = std::getenv("PYENV_ROOT"), *home = std::getenv("HOME");
  auto versions = root ? fs::path(root) / "versions" : fs::path(home ? home : "/") / ".pyenv/versions";
  std::error_code none;
  for (const auto &entry : fs::directory_iterator(versions, none))
    if (entry.path().filename().string().starts_with("3."))
      found.push_back(entry.path() / "bin/python3");
  return found;
}

bool is_older(const Interpreter &a, const Interpreter &b) {
  int order = ::strverscmp(a.version.c_str(), b.version.c_str()); // 3.6 before 3.13
  return order != 0 ? order < 0 : a.path < b.path;
}

} // namespace

std::vector<Interpreter> find_interpreters() {
  std::vector<Interpreter> found;
  std::vector<fs::path> seen;
  for (const auto &candidate : candidates()) {
    auto interpreter = ask(candidate);
    std::error_code none;
    auto real = interpreter ? fs::canonical(interpreter->path, none) : fs::path();
    if (real.empty() || std::find(seen.begin(), seen.end(), real) != seen.end())
      continue;
    seen.push_back(real);
    found.push_back(std::move(*interpreter));
  }
  std::sort(found.begin(), found.end(), is_older);
  return found;
}

std::optional<Interpreter> find_interpreter(const std::string &wanted) {
  if (wanted.empty())
    return ask(os::find_on_path("python3"));
  if (wanted.find('/') != wanted.npos)
    return ask(wanted);
  auto all = find_interpreters();
  std::optional<Interpreter> newest;
  for (const auto &interpreter : all)
    if ((interpreter.version + ".").starts_with(wanted + "."))
      newest = interpreter;
  return newest;
}

std::optional<std::string> version_of_module(const Interpreter &interpreter, const std::string &module) {
  auto said =
      os::output_of({.program = interpreter.path,
                     .arguments = {"-c", fmt::format("import {0}; print(getattr({0}, '__version__', ''))", module)}});
  if (!said)
    return {};
  return said->substr(0, said->find('\n'));
}

} // namespace pidleak::cli

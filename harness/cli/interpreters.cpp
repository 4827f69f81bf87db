#include "harness/cli/interpreters.hpp"

#include "harness/os/launch.hpp"

#include <fmt/format.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

namespace pidleak::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char *tell_version = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";

/// Asks the program itself: python3 may be a wrapper around another one. Each is asked once.
std::optional<Interpreter> ask(const std::string &program) {
  static std::map<std::string, std::optional<Interpreter>> asked;
  auto [entry, is_new] = asked.try_emplace(program);
  if (!is_new || program.empty() || ::access(program.c_str(), X_OK) != 0)
    return entry->second;
  auto said = os::output_of({.program = program, .arguments = {"-I", "-c", tell_version}});
  if (!said)
    return {};
  auto end = said->find('\n'), last = said->find('\n', end + 1);
  if (end != said->npos && last != said->npos)
    entry->second = Interpreter{.path = said->substr(0, end), .version = said->substr(end + 1, last - end - 1)};
  return entry->second;
}

/// A program that may be an interpreter, and what its name tells of its version: all, the start of it, or nothing.
struct Candidate {
  std::string program, version;
};

std::vector<Candidate> candidates() {
  const char *pyenv_root = std::getenv("PYENV_ROOT"), *home = std::getenv("HOME");
  auto pyenv = pyenv_root ? fs::path(pyenv_root) : fs::path(home ? home : "/") / ".pyenv";
  std::vector<Candidate> found = {{"/usr/bin/python3", ""}};
  auto add = [&](const std::string &name, const std::string &version) {
    auto program = fs::path(os::find_on_path(name));
    if (program.parent_path() != pyenv / "shims") // slow wrappers around what is listed below, and not all of it
      found.push_back({program, version});
  };
  add("python3", "");
  for (int minor = 6; minor < 30; ++minor)
    add(fmt::format("python3.{}", minor), fmt::format("3.{}", minor));
  std::error_code none;
  for (const auto &entry : fs::directory_iterator(pyenv / "versions", none))
    if (auto version = entry.path().filename().string(); version.starts_with("3."))
      found.push_back({entry.path() / "bin/python3", version});
  return found;
}

/// Whether `version` is `wanted` or one of its kind: 3.6.15 of 3.6.
bool is_of(const std::string &version, const std::string &wanted) { return (version + ".").starts_with(wanted + "."); }

/// Those whose name does not rule them out. Where one is named so to the last digit, the others need not be asked.
std::vector<Candidate> candidates_for(const std::string &wanted) {
  auto all = candidates();
  if (wanted.empty())
    return all;
  bool is_whole = std::count(wanted.begin(), wanted.end(), '.') == 2;
  std::vector<Candidate> may_fit, named;
  for (const auto &candidate : all) {
    if (candidate.version.empty() || is_of(candidate.version, wanted) || is_of(wanted, candidate.version))
      may_fit.push_back(candidate);
    if (is_whole && candidate.version == wanted)
      named.push_back(candidate);
  }
  return named.empty() ? may_fit : named;
}

bool is_older(const Interpreter &a, const Interpreter &b) {
  int order = ::strverscmp(a.version.c_str(), b.version.c_str()); // 3.6 before 3.13
  return order != 0 ? order < 0 : a.path < b.path;
}

} // namespace

std::vector<Interpreter> find_interpreters(const std::string &wanted) {
  std::vector<Interpreter> found;
  std::vector<fs::path> seen;
  for (const auto &candidate : candidates_for(wanted)) {
    auto interpreter = ask(candidate.program);
    if (!interpreter || (!wanted.empty() && !is_of(interpreter->version, wanted)))
      continue;
    std::error_code none;
    auto real = fs::canonical(interpreter->path, none);
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
  auto fitting = find_interpreters(wanted);
  return fitting.empty() ? std::nullopt : std::optional(fitting.back());
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

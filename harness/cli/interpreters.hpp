// The Python interpreters of this machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pidleak::cli {

struct Interpreter {
  std::string path;
  std::string version; // `3.12.1`
};

/// Those on PATH (python3, python3.N), in /usr/bin and in pyenv, oldest first, each once. `wanted`: a version or the
/// start of one; empty: all.
std::vector<Interpreter> find_interpreters(const std::string &wanted = "");

/// The one that `wanted` names: a path, a version or the start of one (the newest that fits), or nothing for the
/// first python3 on PATH.
std::optional<Interpreter> find_interpreter(const std::string &wanted);

/// What `module` says its version is in this interpreter (empty if it does not say); nothing if it can't be imported.
std::optional<std::string> version_of_module(const Interpreter &interpreter, const std::string &module);

} // namespace pidleak::cli

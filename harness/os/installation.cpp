#include "harness/os/installation.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

namespace pidleak::os {
namespace {

std::string sibling(const std::string &name, int access_mode) {
  auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  auto installed = here.parent_path() / "libexec" / "pidleak";
  for (const auto &directory : {here, installed})
    if (auto path = directory / name; ::access(path.c_str(), access_mode) == 0)
      return path.string();
  throw std::runtime_error(fmt::format("{} is neither in {} nor in {}: the installation is incomplete", name,
                                       here.string(), installed.string()));
}

} // namespace

std::string sibling_program(const std::string &name) { return sibling(name, X_OK); }

std::string sibling_file(const std::string &name) { return sibling(name, R_OK); }

} // namespace pidleak::os

#include "harness/library/helpers.hpp"

#include "harness/os/procfs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

namespace pidleak::library {

std::string role_of(pid_t pid, const std::vector<Helper> &helpers) {
  if (helpers.empty())
    return {};
  auto stat = os::read_stat(pid);
  if (!stat || !stat->has_executed) // a fork has the command line of what it was forked from
    return {};
  auto command_line = fmt::format("{}", fmt::join(os::read_command_line(pid), " "));
  for (const auto &helper : helpers)
    if (::fnmatch(helper.command_line.c_str(), command_line.c_str(), 0) == 0)
      return helper.role;
  return {};
}

} // namespace pidleak::library

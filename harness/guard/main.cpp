// The program `pidleak`. `pidleak guard -- COMMAND` is all done here (keeper.hpp); for everything else it becomes
// pidleak-cli (exec), which has all the rest.
#include "harness/guard/keeper.hpp"
#include "harness/guard/stand_in.hpp"
#include "harness/os/installation.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

namespace {

using namespace pidleak;

[[noreturn]] void become_cli(std::vector<std::string> arguments) {
  auto program = os::sibling_program("pidleak-cli");
  std::vector<char *> argv = {const_cast<char *>("pidleak")};
  for (auto &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  os::throw_errno("execv({})", program);
}

/// The command's status and signal are this process's. Nothing was run if it can't be executed: pidleak-cli says why.
int guard_command(const std::vector<std::string> &arguments, const std::optional<guard::Original> &original) {
  auto end = guard::keep({arguments.begin() + 2, arguments.end()}, original);
  if (!end)
    become_cli(arguments);
  if (end->signal != 0)
    guard::die_of(end->signal);
  return end->status;
}

} // namespace

int main(int argc, char **argv) {
  try {
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    bool without_options = argc > 3 && arguments[0] == "guard" && arguments[1] == "--";
    if (!without_options)
      become_cli(std::move(arguments));
    if (auto why = os::why_blind(); !why.empty()) {
      std::fprintf(stderr, "pidleak guard: refused, and nothing was run: %s\n", why.c_str());
      return 5;
    }
    guard::occupy_standard_streams();
    if (guard::needs_stand_in())
      guard::stand_in([&](const guard::Original &original) { return guard_command(arguments, original); });
    return guard_command(arguments, {});
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 5;
  }
}

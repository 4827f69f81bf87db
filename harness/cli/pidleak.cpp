// The program `pidleak`: small, since it stands before each of thousands of commands. `pidleak guard -- COMMAND` is
// done here (keeper.hpp), and so are guard's plain options (cli/guard_run.hpp); for everything else it becomes
// pidleak-cli (exec), which has all the rest.
#include "harness/cli/guard_run.hpp"
#include "harness/cli/plain_arguments.hpp"
#include "harness/guard/keeper.hpp"
#include "harness/guard/stand_in.hpp"
#include "harness/os/installation.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>

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

/// Nothing: they are not as plain as that, or can't be done; nothing was run, and pidleak-cli says why.
std::optional<int> guard_with_plain_options(const std::vector<std::string> &arguments) {
  cli::GuardRun run;
  cli::Further none;
  try {
    if (!cli::take_plain(cli::plain_guard_options(run), arguments, run.guard.command))
      return {};
    guard::occupy_standard_streams();
    cli::prepare(run);
  } catch (const cli::UsageError &) {
    return {};
  }
  return cli::run_command(run, none, cli::listener_for(run, none));
}

int run(std::vector<std::string> arguments) {
  bool is_guard = !arguments.empty() && arguments[0] == "guard";
  bool without_options = is_guard && arguments.size() > 2 && arguments[1] == "--";
  if (is_guard && !without_options)
    if (auto status = guard_with_plain_options(arguments))
      return *status;
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
}

} // namespace

int main(int argc, char **argv) {
  int status = 5;
  try {
    status = run({argv + std::min(argc, 1), argv + argc});
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
  }
  ::_exit(status); // standard error has no buffer, and what exit(3) does would cost a fiftieth of all
}

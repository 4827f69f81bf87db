// The program `pidleak`. It is small, because `pidleak guard -- COMMAND` stands before each of thousands of commands,
// and what is not loaded costs nothing: it starts the command, waits, and if nothing is left that was all. For
// everything else it becomes pidleak-cli (exec: the same process, with the same children), which has all the rest.
#include "harness/guard/command.hpp"
#include "harness/os/installation.hpp"
#include "harness/os/subreaper.hpp"
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

/// How the command has ended, if nothing is left of it; nothing if it could not be executed.
std::optional<guard::End> stand_before(const std::vector<std::string> &command) {
  guard::Command guarded;
  if (guarded.start(command) != 0)
    return {};
  auto end = guarded.wait({});
  if (os::reap_exited_children())
    return end;
  // Signals stay blocked on the way, so that none is lost, and none ends this process before it has told what remains.
  std::vector<std::string> arguments = {"guard", "--ended", guard::write_end(end), "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  become_cli(std::move(arguments));
}

} // namespace

int main(int argc, char **argv) {
  try {
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    bool without_options = argc > 3 && arguments[0] == "guard" && arguments[1] == "--";
    if (without_options && !os::has_children()) { // those would have to be told from the command's
      guard::occupy_standard_streams();
      if (auto end = stand_before({arguments.begin() + 2, arguments.end()})) {
        if (end->signal != 0)
          guard::die_of(end->signal);
        return end->status;
      }
    }
    become_cli(std::move(arguments));
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 5;
  }
}

#include "harness/census/stacks.hpp"

#include "harness/os/installation.hpp"
#include "harness/os/launch.hpp"

#include <fmt/format.h>

#include <charconv>

namespace pidleak::census {
namespace {

/// A line of pidleak-stack: thread, TAB, call.
void keep(std::vector<ThreadWait> &threads, std::string_view line) {
  auto tab = line.find('\t');
  pid_t thread = 0;
  if (tab == line.npos || std::from_chars(line.data(), line.data() + tab, thread).ptr != line.data() + tab)
    return;
  for (auto &known : threads)
    if (known.thread == thread)
      known.stack.emplace_back(line.substr(tab + 1));
}

} // namespace

void take_stacks(RemainingProcess &process) {
  if (process.state == ProcessState::zombie)
    return;
  std::optional<std::string> said;
  try {
    said = os::output_of({.program = os::sibling_program("pidleak-stack"), .arguments = {fmt::to_string(process.pid)}});
  } catch (const std::runtime_error &) {
    return; // built without elfutils
  }
  if (!said)
    return;
  for (std::string_view rest = *said; !rest.empty();) {
    auto line = rest.substr(0, rest.find('\n'));
    keep(process.waits, line);
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
}

} // namespace pidleak::census

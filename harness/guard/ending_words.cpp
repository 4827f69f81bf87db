#include "harness/guard/ending_words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::guard {

namespace {

/// `pid 12, 13 and 4 more`
std::string list_of(const std::vector<pid_t> &pids) {
  constexpr std::size_t most = 8;
  auto told = std::vector<pid_t>(pids.begin(), pids.begin() + static_cast<std::ptrdiff_t>(std::min(most, pids.size())));
  return fmt::format("pid {}{}", fmt::join(told, ", "),
                     pids.size() > most ? fmt::format(" and {} more", pids.size() - most) : "");
}

} // namespace

std::string words_of(const os::Ending &ending) {
  if (ending.all_ended && ending.by_sigterm.empty())
    return ending.by_sigkill.empty() ? "ended"
           : ending.asked            ? "ended by SIGKILL: SIGTERM did not end " +
                                (ending.by_sigkill.size() == 1 ? std::string("it") : std::string("them"))
                          : "ended by SIGKILL";
  if (ending.all_ended && ending.by_sigkill.empty())
    return "ended by SIGTERM";
  if (ending.all_ended)
    return fmt::format("ended by SIGTERM: {}; by SIGKILL: {}", list_of(ending.by_sigterm), list_of(ending.by_sigkill));
  if (!ending.of_others.empty())
    return fmt::format("not all of them could be ended: pid {} belongs to another user",
                       fmt::join(ending.of_others, ", "));
  return "not all of them could be ended";
}

std::string hint_of(const std::vector<std::string> &handed_over) {
  return handed_over.empty()
             ? ""
             : fmt::format("{} {} run: what was handed to a daemon is not below this command, and may go on unseen",
                           fmt::join(handed_over, ", "), handed_over.size() == 1 ? "was" : "were");
}

} // namespace pidleak::guard

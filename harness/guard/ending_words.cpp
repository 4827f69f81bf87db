#include "harness/guard/ending_words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pidleak::guard {

std::string words_of(const os::Ending &ending) {
  if (ending.all_ended)
    return "ended";
  if (!ending.of_others.empty())
    return fmt::format("not all of them could be ended: pid {} belongs to another user",
                       fmt::join(ending.of_others, ", "));
  return "not all of them could be ended";
}

} // namespace pidleak::guard

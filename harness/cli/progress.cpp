#include "harness/cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace pidleak::cli {

constexpr auto clear_line = "\r\x1b[K";

Progress::Progress(bool wanted) : shown_(wanted && ::isatty(STDERR_FILENO)) {}

void Progress::show(const std::string &line) const {
  if (shown_)
    fmt::print(stderr, "{}{}", clear_line, line);
}

void Progress::clear() const {
  if (shown_)
    std::fputs(clear_line, stderr);
}

} // namespace pidleak::cli

// A remaining process in words: what every rendering says of it. Everything is printable.
#pragma once

#include "reports/layout.hpp"

namespace pidleak::reports {

/// `pid 3`, `outside 9003`, kind, name, `SIGTERM handler`, `waits in futex`; what is not known is empty.
layout::Row row_of(const census::RemainingProcess &process);

/// `sigterm-caught: a handler ran, and returned`, one for each finding.
std::vector<std::string> causes_of(const census::RemainingProcess &process);

/// A line for each remaining process, followed by lines that say why it is there and what lets it remain; each after
/// `indent`.
std::string remaining_lines(const Report &report, const std::string &indent);

/// A line for each rule that let a process remain, or does no more.
std::string suppression_lines(const Report &report, const std::string &indent);

} // namespace pidleak::reports

// What a cell of a comparison says besides its verdict: how long it took, and what servers did besides.
#pragma once

#include "reports/comparison.hpp"

#include <string>
#include <vector>

namespace pidleak::reports {

/// The median; empty where none of them ran: `31 ms`, `14.9 s`.
std::string time_of(const Cell &cell);

/// `the master and 1 worker wait for the request`, `the request was dropped`, `3, 4 still serve`, `0.0.0.0:8000 is
/// held`: of each of its endings, each once, printable.
std::vector<std::string> facts_of(const Cell &cell);

/// How a worker of each pool notices its master's death, where replays have shown it, `-` where not; empty: none has.
std::vector<std::string> notices_of(const Comparison &comparison);
constexpr const char *notices_title = "a worker notices its master's death by";

} // namespace pidleak::reports

// The verdict of a replay of a server: what was shown and what remains in, a verdict and its reason out.
#pragma once

#include "harness/replay/verdict.hpp"

#include <optional>
#include <string>

namespace pidleak::replay {

struct ServerFacts {
  int stop = 0;                    // the signal that asks it to stop
  bool was_asked = false;          // and nothing else has ended its master since
  double ended_after_ms = 0;       // the last of its processes, or the wait for that
  std::string since;               // after what: `SIGTERM`
  std::optional<bool> is_up_again; // nothing: it was not started again
  std::string why_not_up;
};

/// Judges a report whose evidence and remaining processes are complete.
Judged judge_server(const reports::Report &report, const ServerFacts &facts);

} // namespace pidleak::replay

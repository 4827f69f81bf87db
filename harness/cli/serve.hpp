// A server of the user's own, described by options in place of a file: `--serve 'gunicorn -w 4 app:app'`.
#pragma once

#include "harness/cli/replays.hpp"

namespace pidleak::cli {

/// As the user gave them.
struct ServeOptions {
  std::string command, busy, stop = "TERM", network = "host", ready_line, ready_file;
  int ready_port = 0;
  double grace = 30, ready_within = 30; // seconds
};

/// The options of a verb. `options` must live until it has run.
std::vector<Option> serve_options(ServeOptions &options);

/// Puts the server among the pools that are replayed, and what is asked of all servers into their plans. Throws
/// UsageError.
void take_served(const ServeOptions &options, const Given &given, ReplayOptions &replay);

} // namespace pidleak::cli

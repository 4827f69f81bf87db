// The pools that `--pool` can name.
#pragma once

#include "harness/replay/scenario.hpp"

namespace pidleak::cli {

/// The pools behind the words of `--pool`: presets, separated by commas, `all` of them, or `exec:COMMAND`, a subject
/// of the user's own with its arguments (quoted as for a shell). Throws UsageError naming what is not known or not
/// to be executed.
std::vector<replay::PoolChoice> choose_pools(const std::vector<std::string> &words);

} // namespace pidleak::cli

// The pools that `--pool` can name.
#pragma once

#include "harness/replay/scenario.hpp"

namespace pidleak::cli {

/// The pools behind the words of `--pool`. Separated by commas: presets, `all` of them, `python`, `multiprocessing`,
/// `loky`, `billiard` (each with `:VERSION` or `:PATH` of an interpreter, if wanted), `node`. A word of its own:
/// `exec:COMMAND`, a subject of the user's own with its arguments, quoted as for a shell. What this machine does not
/// have is chosen all the same, and says in `lacks` why it will be skipped. `server:NAME` is a server that is described
/// beside this program, `server:PATH` one that the user describes. Throws UsageError naming what is not known.
std::vector<replay::PoolChoice> choose_pools(const std::vector<std::string> &words);

/// The real pools of this machine.
struct FoundPool {
  std::string word; // for --pool
  std::string pool, version;
};
std::vector<FoundPool> find_pools();

/// The servers that come with a description, here or not.
struct DescribedServer {
  std::string word; // for --pool
  std::string about, version;
  std::string lacks; // what is not here, and how to install it; empty: all is here
};
std::vector<DescribedServer> find_servers();

} // namespace pidleak::cli

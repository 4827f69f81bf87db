// Load on the cores that replays take place on: stress-ng, in a sandbox of its own. It ends with this process, however
// that ends.
#pragma once

#include "harness/cli/replays.hpp"

#include <map>
#include <string>
#include <vector>

namespace pidleak::cli {

/// What kinds there are: cpu, io, mem, fork.
std::vector<std::string> load_words();

/// This machine has no stress-ng: status 4. The text says which package has it.
class LoadLacking : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Stressors by kind, of `cpu`, `io=2`: one for each core where no number is given. Throws UsageError.
std::map<std::string, int> parse_load(const std::vector<std::string> &words);

class Load {
public:
  /// The caller must have no other thread. Throws LoadLacking, SyscallError.
  static Load start(const std::map<std::string, int> &stressors, const Place &place);

  /// Why it has ended; empty: it runs. Never blocks.
  std::string why_ended();

private:
  explicit Load(replay::Sandbox sandbox) : sandbox_(std::move(sandbox)) {}
  replay::Sandbox sandbox_;
};

} // namespace pidleak::cli

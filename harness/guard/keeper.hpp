// Guard without options: small, because it stands before each of thousands of commands, and what is not loaded costs
// nothing. If something is left, a child that has all the rest (pidleak-cli) looks at that; the keeper itself reaps and
// ends. So whatever becomes of the look, what is left is ended and said.
//
//   keeper ──▶ command ──▶ what it leaves
//     └──────▶ looker     reads /proc below the keeper, and says what it finds
//
//   looker to keeper   `l` something is left, `c` nothing is
//   keeper to looker   `r` a child was reaped, each; then, after `l`, `d`, the words on the ending, and a 0 byte
#pragma once

#include "harness/guard/command.hpp"
#include "harness/guard/guard.hpp"

#include <string>
#include <vector>

namespace pidleak::guard {

/// The looker's end of what keeper and looker tell each other.
class KeeperLine {
public:
  /// `fd`: as the keeper's arguments name it. Takes it over.
  explicit KeeperLine(int fd) : fd_(os::UniqueFd::adopt(fd)) {}
  /// `genealogy`: the descriptor of what the keeper was told, which this takes over; -1: it could not be handed on.
  LeftToParent left_to_parent(int genealogy);
  /// Tells whether something is left, and waits until the keeper has ended that. What came of it, in words; empty if
  /// the keeper is gone.
  std::string conclude(bool something_is_left);

private:
  std::size_t take_reaped();
  os::UniqueFd fd_;
};

/// The status that guard gives where the command's is 0 and something was left: as LeakSanitizer.
constexpr int leak_status = 23;

/// Runs the command, and does all that guard does. Nothing: it can't be executed, and nothing was run. `original`: see
/// Options. Throws SyscallError before anything is started.
std::optional<End> keep(const std::vector<std::string> &command, const std::optional<Original> &original);

} // namespace pidleak::guard

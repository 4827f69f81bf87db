// The genealogy of a command that runs, kept up from the kernel's events.
#pragma once

#include "harness/census/genealogy.hpp"

namespace pidleak::census {

class LiveGenealogy {
public:
  /// Before the command is started. Where the kernel tells nothing, now() says why.
  LiveGenealogy() = default;
  /// The command has been started by the calling thread, at that time.
  void begin(pid_t command, const std::vector<std::string> &command_line, Clock::time_point started);

  /// Readable when there is something to take in; -1: never.
  int fd() const { return tasks_ ? tasks_->fd() : -1; }
  /// Up to now. What has come and gone between two calls has no command line.
  const Genealogy &now();
  /// How many events there were so far.
  std::size_t heard() const { return heard_; }
  /// See Genealogy::keep(); for after begin().
  void keep(std::size_t ended) { genealogy_.keep(ended); }

private:
  std::optional<os::TaskEvents> tasks_{std::in_place};
  std::size_t heard_ = 0;
  Genealogy genealogy_{"no command was started"};
};

} // namespace pidleak::census

// The command and whoever stands before it: started as if nobody did, and waited for as its own parent would.
#pragma once

#include "harness/guard/relay.hpp"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pidleak::guard {

/// How the command has ended.
struct End {
  int status = 0; // 128 + N for signal N; 124 for a timeout; 126, 127 if it could not be executed
  int signal = 0; // that has ended it; 0: none
  bool timed_out = false;
};

/// An End without a timeout in one word, and back; nothing if it is no such word.
std::string write_end(const End &end);
std::optional<End> read_end(const std::string &word);

/// How long it may run; nothing: as long as it likes. Then it gets SIGTERM, and after `kill_after` SIGKILL.
struct TimeLimit {
  std::optional<milliseconds> timeout = {};
  milliseconds kill_after{5000};
};

class Command {
public:
  /// Becomes the subreaper of everything below. The caller must have no other thread, and not wait for children of its
  /// own meanwhile. Throws SyscallError.
  Command();

  /// 0, or the errno of its exec.
  int start(const std::vector<std::string> &command);
  /// Until it has ended and was reaped. Whatever else ends below is reaped as well, so that no zombie is kept that its
  /// own parent would not have kept. `look`, if there is one, is called at once, and again whenever the moment has come
  /// that it has returned.
  End wait(const TimeLimit &limit, const std::function<Deadline()> &look = {});
  pid_t pid() const { return command_->pid(); }

  Relay &relay() { return relay_; }
  /// The children that this process had before it started, of whoever has executed it.
  const std::set<pid_t> &from_before() const { return before_; }

private:
  siginfo_t next_change();

  Relay relay_;
  std::set<pid_t> before_;
  std::optional<os::ProcessRef> command_;
};

/// Keeps 0, 1 and 2 from being given to files: a stream that is closed stays closed for the command, but here its
/// number must not become a file's. Called first of all.
void occupy_standard_streams();

/// A shell leaves its script after Ctrl-C only if the command has died of it, and other parents tell a crash from an
/// exit as well. Returns where the signal does nothing to this process: as init of a PID namespace.
void die_of(int signal);

} // namespace pidleak::guard

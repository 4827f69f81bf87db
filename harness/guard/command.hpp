// The command and the process that stands before it: started as if there were none, and waited for as its own parent
// would.
#pragma once

#include "harness/census/live_genealogy.hpp"
#include "harness/guard/relay.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::guard {

/// How the command has ended.
struct End {
  int status = 0; // 128 + N for signal N; 124 for a timeout; 126, 127 if it could not be executed
  int signal = 0; // that has ended it; 0: none
  bool timed_out = false;
  bool was_spared = false; // timed out, and it could not be ended: it belongs to another user, or waits for a device
};

/// An End without a timeout in one word, and back; nothing if it is no such word.
std::string write_end(const End &end);
std::optional<End> read_end(const std::string &word);

/// How long it may run; nothing: as long as it likes. Then it gets SIGTERM, and after `kill_after` SIGKILL. Both hold
/// while it is stopped: SIGCONT goes with SIGTERM.
struct TimeLimit {
  std::optional<milliseconds> timeout = {};
  milliseconds kill_after{5000};
};

/// Called while Command::wait() waits; what they throw goes to its caller. Empty ones are not called.
struct Hooks {
  /// Called at once, and again whenever the moment has come that it has returned.
  std::function<Deadline()> look = {};
  /// Something that the user should know now.
  std::function<void(const std::string &)> warn = {};
  /// Its time is over, and no signal was sent to it yet.
  std::function<void()> time_is_over = {};
  /// Another child has ended and was reaped: one that this process had adopted.
  std::function<void(pid_t)> reaped = {};
  /// A stop signal has come, and was passed on.
  std::function<void()> stop = {};
  /// Called whenever `fd` is readable; false: it is not waited for any more.
  int fd = -1;
  std::function<bool()> readable = {};
};

class Command {
public:
  /// The caller must have no other thread, and not wait for children of its own meanwhile. `original`: see Relay.
  /// Throws SyscallError.
  explicit Command(const std::optional<Original> &original = {}) : relay_(original) {}

  /// 0, or the errno of its exec. Throws SyscallError if nothing was started.
  int start(const std::vector<std::string> &command);
  /// The same with every signal blocked, and SIGCHLD at its default: for a program of pidleak's own.
  int start_own(const std::vector<std::string> &command);
  /// A child that was forked already.
  void adopt(os::ProcessRef child) { command_ = std::move(child); }

  /// Until it has ended and was reaped; or its time is over and SIGKILL does not end it within five seconds, as where
  /// it waits for a device: then it is still there. One that belongs to another user and can't be ended is waited for.
  /// Whatever else ends below is reaped as well, so that no zombie is kept that its own parent would not have kept.
  /// Throws SyscallError when the kernel refuses what it needs again and again.
  End wait(const TimeLimit &limit = {}, Hooks hooks = {});
  /// For hooks: it may take as long as it likes after all.
  void lift_limit() { limit_.reset(); }
  const os::ProcessRef &process() const { return *command_; }

  Relay &relay() { return relay_; }

  /// Who has started whom since start(), up to now. While wait() waits it is kept up by itself; elsewhere each call
  /// does, and what has come and gone between two of them has no command line.
  const census::Genealogy &genealogy();
  /// See Genealogy::keep(); for after start().
  void keep_lives(std::size_t ended) { genealogy_.value().keep(ended); }

private:
  int start_with(const std::vector<std::string> &command, const Original &original);
  std::optional<End> step(Hooks &hooks);
  std::optional<Deadline> soon_again();
  bool is_in_a_rush();
  void enforce_limit(const Hooks &hooks);
  siginfo_t next_change();
  void stop_as_well();

  Relay relay_;
  std::optional<os::ProcessRef> command_;
  std::optional<census::LiveGenealogy> genealogy_; // from start() on
  census::Genealogy no_genealogy_{"the command was started by another process"};
  std::optional<Deadline> ending_;
  bool rush_ = false; // see is_in_a_rush()
  Clock::time_point counts_since_{};
  std::size_t heard_before_ = 0;

  // While wait() is there.
  enum class Phase {
    runs,
    asked_to_end,
    killed,
    given_up,  // it belongs to another user: it ends when it likes
    unkillable // it is there after SIGKILL
  };
  Phase phase_ = Phase::runs;
  milliseconds kill_after_{0};
  std::optional<Deadline> limit_, next_look_;
};

/// Keeps 0, 1 and 2 from being given to files: a stream that is closed stays closed for the command, but here its
/// number must not become a file's. Called first of all.
void occupy_standard_streams();

/// A shell leaves its script after Ctrl-C only if the command has died of it, and other parents tell a crash from an
/// exit as well. Returns where the signal does nothing to this process: as init of a PID namespace.
void die_of(int signal);

} // namespace pidleak::guard

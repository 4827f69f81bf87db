// Who started whom, the dead included: the tree of all that a command has started, from the kernel's events.
//
//   kernel ──▶ os::TaskEvents ──▶ Genealogy ──▶ creators_of(what remains)
//
// A process that has ended is kept as long as a descendant of it runs, and the last few thousand others: so memory is
// in proportion to what runs. For a picture of all of them more are kept.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/task_events.hpp"

#include <boost/describe/enum.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace pidleak::census {

/// A process that has led to another one: its parent at that one's fork, that parent's parent, and so on.
struct Creator {
  pid_t pid = 0;
  /// What it ran when it started the next one; any bytes. The program's name alone if it was gone too soon.
  std::vector<std::string> command_line;
  double started_ms = 0;               // since the command was started
  std::optional<double> ended_ms = {}; // nothing: it still ran
};

/// Whether all was told.
BOOST_DEFINE_ENUM_CLASS(GenealogyState, complete,
                        partial, // events were lost, or the kernel stopped telling of a process
                        none)    // the kernel tells this user nothing

class Genealogy {
public:
  using Id = std::uint64_t; // of a process, in the order of birth; pids are given again
  /// What reads the command line of a process; empty: it is gone, or has none yet.
  using ReadCommandLine = std::function<std::vector<std::string>(pid_t)>;

  /// The command: started by the calling process, at that time.
  Genealogy(pid_t command, std::vector<std::string> command_line, std::chrono::steady_clock::time_point started);
  /// Nothing is told, and why.
  explicit Genealogy(std::string why_none) : state_(GenealogyState::none), lacks_(std::move(why_none)) {}

  /// What has happened since. Command lines are read at once: soon they will be gone. An exec is told before the new
  /// program has its arguments: where there are none yet, they are read with the next call.
  void add(const std::vector<os::TaskEvent> &events, const ReadCommandLine &read);
  /// A command line could be read by now that could not before: add() is to be called soon, though nothing happens.
  bool is_reading() const { return !due_.empty(); }

  /// Its parent first, the command last. Empty: not known, or it is the command.
  std::vector<Creator> creators_of(pid_t pid) const;
  /// A process that has lost its parent and has ended, by the time that both did so.
  struct Orphan {
    std::string name;                 // of its program; empty: not known
    std::vector<std::string> creator; // what its parent ran then; empty: not known
    bool ended_first = false;         // before its parent, which has never waited for it
  };
  /// Of one that the calling process has adopted and reaped.
  Orphan orphan(pid_t pid) const;
  /// A process that it knows of; some of those that have ended are forgotten in time.
  struct Known {
    Id id = 0;
    pid_t pid = 0;
    std::string name; // of the program that it has executed; empty: none since its fork
    bool has_ended = false;
  };
  /// The command and all below it, in no order.
  std::vector<Known> all() const;
  /// One process's life.
  struct Life {
    pid_t pid = 0;
    std::optional<std::size_t> parent;     // its place in lives(); nothing: the command, or its parent is not known
    std::vector<std::string> command_line; // of its last program
    double started_ms = 0;                 // since the command was started
    std::optional<double> ended_ms;        // nothing: it runs
  };
  /// How many that have ended are kept from now on.
  void keep(std::size_t ended) { most_ended_ = ended; }
  /// In the order of birth.
  std::vector<Life> lives() const;
  /// How many others there were, of which nothing is kept.
  std::size_t forgotten() const { return static_cast<std::size_t>(last_) - nodes_.size(); }
  /// Programs that were executed and hand work to a daemon, which is no descendant: `docker`. At most one of each.
  const std::set<std::string> &handed_over() const { return handed_over_; }
  /// The command's last thread has ended, and it can be waited for in a moment.
  bool has_command_ended() const { return command_ != 0 && nodes_.at(command_).ended_ms.has_value(); }
  /// Whether that is the command's own pid.
  bool is_of_command(pid_t pid) const { return command_ != 0 && find(pid) == command_; }
  GenealogyState state() const { return state_; }
  /// Why it is not complete; empty: it is.
  const std::string &lacks() const { return lacks_; }

  /// For another process of pidleak, and back. Throws std::invalid_argument if it is no such text.
  std::string write() const;
  static Genealogy read(const std::string &text);

private:
  /// From an exec to the next one; children that execute nothing else have it in common with their parent.
  using Program = std::shared_ptr<std::vector<std::string>>;
  struct Node {
    pid_t pid = 0;
    Id parent = 0; // 0: none that is known
    Program program = {};
    bool is_read = true; // of a program that was executed its name is known before its arguments
    std::string name = {};
    Clock::time_point read_at = {};
    Program parents_program = {}; // when it was forked
    double started_ms = 0;
    std::optional<double> ended_ms = {};
    int threads = 1, children = 0; // children that are kept
  };

  double since_start(std::chrono::steady_clock::time_point at) const;
  Id make(pid_t pid, double at_ms);
  Id find(pid_t pid) const;
  void fork(const os::TaskEvent &event);
  void exec(const os::TaskEvent &event);
  void exit(const os::TaskEvent &event);
  bool may_be_eager() const;
  void read_programs(const ReadCommandLine &read);
  void forget_if_useless(Id id);

  std::chrono::steady_clock::time_point started_;
  std::unordered_map<Id, Node> nodes_;
  std::unordered_map<pid_t, Id> ids_; // of the last process that had the pid
  std::deque<Id> ended_;              // without children, the oldest first
  std::size_t most_ended_ = 4096;     // that have no child: a zombie may be among them
  /// Its command line is to be read now.
  struct Due {
    Id id = 0;
    Program program;
    Deadline until; // it may have no arguments at all
  };
  std::vector<Due> due_;
  std::set<std::string> handed_over_;
  Clock::duration eager_for_{}; // what that has taken so far, but for those that have forked
  Id last_ = 0, command_ = 0;
  bool has_command_executed_ = false;
  GenealogyState state_ = GenealogyState::complete;
  std::string lacks_;
};

} // namespace pidleak::census

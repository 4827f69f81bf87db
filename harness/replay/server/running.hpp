// A server under test as the driver sees it: started, watched and asked, all of it from outside. Who is master and who
// is a worker the census says; the server itself speaks no protocol.
//
//   init (driver) ──▶ master ──▶ workers
//     ├─────────────▶ what runs beside it (a broker), and commands that ask: no part of the server, not counted
//     └── requests, the gate, the upstream that does not answer
#pragma once

#include "harness/census/tree.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/sandbox.hpp"
#include "harness/replay/scenario.hpp"
#include "harness/replay/server/request.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// One of the server's processes, held from when it was ready until it leaves.
struct HeldProcess {
  os::ProcessRef process;
  bool is_master = false;
  std::optional<double> left_at_ms = {}; // of the timeline
  std::optional<os::WaitStatus> status = {};
};

/// Methods that wait throw LifelineCut. What the server does wrong throws Judged: broken, with its words.
class RunningServer {
public:
  /// Makes its directory, runs what comes before it and beside it. All of these must outlive this.
  RunningServer(const Plan &plan, const Inside &inside, Timeline &timeline);

  /// Starts its command. Called again after the end of the master: the same command once more.
  void start();
  /// Until it is ready and its processes stay the same. False: it ended, or did not come up within the bound: why()
  /// says more.
  bool wait_until_ready();
  /// The same after some of its processes were replaced: it must answer once more.
  bool wait_until_ready_again();
  const std::string &why() const { return why_; }
  /// Holds everyone who is there now: from then on it is known when each leaves.
  void hold_processes();

  census::Tree &tree() { return *tree_; }
  /// Of the command before, where it was started again: for those that are left of it.
  census::Tree &tree_before() { return earlier_tree_ ? *earlier_tree_ : *tree_; }
  const os::ProcessRef &master() const { return master_ ? *master_ : commands_.back().process(); }
  /// The command has ended by itself, and another process is the master now.
  bool is_in_background() const { return master_.has_value(); }
  const std::string &directory() const { return directory_; }
  const Words &command_line() const { return command_line_; }
  /// Of the command that was started last, in the order of their pids; those that are there now.
  std::vector<pid_t> workers() const;
  /// Those that were there when it was started, and are still: of the command before.
  std::vector<pid_t> from_before() const;
  const std::deque<HeldProcess> &held() const { return held_; }
  /// By what their command lines say.
  std::map<pid_t, std::string> helpers() const;
  std::string output() const { return commands_.empty() ? "" : commands_.back().output(); }

  /// Asks for `path`, and waits until the worker that has the request is known to hold it. Nothing: why() says what was
  /// in the way.
  std::optional<pid_t> make_busy(const std::string &path);
  /// Lets the busy worker go on.
  void release();
  /// The request that keeps a worker busy; null: there is none.
  const Request *busy_request() const { return busy_.get(); }
  /// Asks, and waits for the answer; nothing within the time, or it was dropped.
  std::optional<std::string> ask(const std::string &path, milliseconds at_most);

  /// Until the request is answered or dropped, or the time is over.
  void hear_from(const Request &request, milliseconds at_most);
  /// Takes in what happens for some time, or until one of the pidfds is readable, or something has come.
  void wait(std::chrono::microseconds at_most, const std::vector<int> &exits = {});
  /// Until nothing is left, or all that is left is stuck, or the time is over.
  census::Settled settle(milliseconds bound);

private:
  Started &command() { return commands_.back(); }
  std::map<std::string, std::string> values() const;
  std::string fill(const std::string &text) const { return ServerDescription::fill(text, values()); }
  Words fill(const Words &words) const;
  Start start_of(const Words &command) const;
  void run_before(const Words &command);
  void start_beside();
  bool is_ready();
  std::string what_is_missing();
  std::optional<std::string> missing_before_answer() const;
  bool waits_for_answer() const { return !server_.ready.request.empty() && !answered_; }
  std::optional<std::string> missing() const;
  bool wait_until_same();
  bool was_there_before(const census::Member &member) const;
  void find_master();
  std::unique_ptr<Request> request(const std::string &path);
  std::optional<pid_t> find_holder(const std::string &target) const;
  std::optional<pid_t> busy_worker();
  void note_exits();
  census::Rest rest(const census::Walk &walk);

  const Plan &plan_;
  const ServerDescription &server_;
  const Inside &inside_;
  Timeline &timeline_;
  std::string directory_, gate_path_, why_;
  std::optional<Started> beside_;
  std::deque<Started> commands_; // the last is the one that was started last; what the others write is read as well
  std::optional<os::ProcessRef> master_; // where it is another than the command
  std::optional<census::Tree> tree_, earlier_tree_;
  Words command_line_;
  std::vector<pid_t> left_out_;
  std::vector<census::Member> earlier_; // were there when the command was started
  std::deque<HeldProcess> held_;
  bool said_line_ = false, answered_ = false;
  std::unique_ptr<Request> ready_request_, busy_, asking_;
  os::UniqueFd gate_, upstream_, upstream_connection_;
};

} // namespace pidleak::replay

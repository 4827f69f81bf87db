// How workers come into being and are waited for: one implementation per start method.
#pragma once

#include "harness/os/process_ref.hpp"
#include "harness/pool/worker.hpp"

#include <memory>

namespace pidleak::pool {

/// A process that the pool started, and how it is known that it ended.
class WorkerProcess {
public:
  virtual ~WorkerProcess() = default; // leaves the process alone
  const os::ProcessRef &ref() const { return ref_; }
  /// False once it has exited; reaps it then, if it is a child of this process.
  virtual bool alive() = 0;
  /// Waits until it has ended (and is reaped, if it is a child of this process); no deadline: for ever.
  virtual void join() = 0;
  virtual bool join_before(Deadline deadline) = 0;
  /// For when the helper that was its parent has been ended. If that left an exited worker to this process, which may
  /// be a subreaper: reaps it.
  virtual void reap_if_adopted() {}
  std::optional<os::WaitStatus> status() const { return status_; }

protected:
  explicit WorkerProcess(os::ProcessRef ref) : ref_(std::move(ref)) {}
  os::ProcessRef ref_;
  std::optional<os::WaitStatus> status_;
};

/// A child of this process. It has ended too if it is not to be waited for any more: the program that hosts the pool
/// may ignore SIGCHLD, or wait for any child. Then there is no status.
class ChildProcess final : public WorkerProcess {
public:
  explicit ChildProcess(os::ProcessRef ref) : WorkerProcess(std::move(ref)) {}
  bool alive() override;
  void join() override;
  bool join_before(Deadline deadline) override;

private:
  template <class Reap>
  bool has_ended(const Reap &reap);
  bool ended_ = false;
};

/// A process that serves the pool and is no worker: tracker, fork server.
struct Helper {
  std::string role;
  pid_t pid = 0;
};

/// A program that a pool starts: its path, and what it needs on its command line besides the pool's own.
struct Program {
  std::string path;
  std::vector<std::string> arguments = {};
};

class Starter {
public:
  virtual ~Starter() = default;
  virtual std::unique_ptr<WorkerProcess> start() = 0;
  virtual std::vector<Helper> helpers() const { return {}; }
  /// Ends the helpers and waits for them until the deadline, then with SIGKILL. Workers that were a helper's children
  /// are then the nearest subreaper's: see WorkerProcess::reap_if_adopted().
  virtual void stop(Deadline) {}
};

/// fork(2): the worker is a copy of this process and never returns. No other thread of this process should run.
/// `owners_only`: descriptors that the worker closes, of all those that fork copies.
std::unique_ptr<Starter> make_fork_starter(WorkerEnds ends, WorkerCode code, std::vector<int> owners_only);
/// A new program for each worker, through Boost.Process. SIG_IGN and the signal mask survive its exec.
std::unique_ptr<Starter> make_spawn_starter(WorkerEnds ends, Program worker);
/// A program that forks the workers: they are its children, not this process's.
std::unique_ptr<Starter> make_forkserver_starter(WorkerEnds ends, Program fork_server);

/// The main function of that program: serves until its owner closes the pipe, or dies. Argument: what
/// make_forkserver_starter put on the command line. Throws std::invalid_argument.
void run_fork_server(std::vector<std::string> &arguments, const WorkerCode &code);

} // namespace pidleak::pool

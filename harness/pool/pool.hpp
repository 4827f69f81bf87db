// A minimal process pool with the anatomy of CPython's ProcessPoolExecutor.
//
//              submit()                 fill                    get
//   caller ──────────────▶ pending ──────────────▶ call queue ──────▶ worker 1..N
//      ▲                     │   ▲                (N + 1 slots)           │
//      │ future              │   │ wake-up                                │ put_result
//      └──────────── management thread ◀───────────── result queue ◀──────┘
//                            ▲
//                            └── sentinels: the workers' pidfds. One that is readable while the pool works means
//                                that a worker died: the pool is broken, and Behaviour says what follows.
#pragma once

#include "harness/pool/behaviour.hpp"
#include "harness/pool/call_queue.hpp"
#include "harness/pool/result_queue.hpp"
#include "harness/pool/starter.hpp"
#include "harness/pool/tracker.hpp"

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <thread>

namespace pidleak::pool {

/// What a future holds when a worker died before its task was done, or shutdown's bound was over; and what submit
/// throws from then on.
class BrokenPool : public std::runtime_error {
public:
  BrokenPool()
      : std::runtime_error("a worker of the process pool ended abruptly while its task was running or pending") {}
};

/// Told what the pool does, on the thread that does it. Must outlive the pool; must not call it.
class PoolObserver {
public:
  virtual ~PoolObserver() = default;
  virtual void broken(int /*queue_depth*/) {}
  virtual void signal_sent(pid_t, int /*signal*/) {}
  /// A broken pool has signalled its workers and is about to count those that live: the count races with the
  /// workers' exits, and an observer that wants one order makes it here.
  virtual void before_count() {}
  virtual void worker_exited(pid_t, std::optional<os::WaitStatus>) {}
  /// Everything a broken pool does before it waits for its workers has been done.
  virtual void breakage_handled() {}
  virtual void management_thread_ended(const std::string & /*exception; empty: it returned*/) {}
};

struct PoolOptions {
  int workers = 4;     // at least 1
  int queue_slots = 0; // of the call queue; 0: one more than workers
  StartMethod start_method = StartMethod::fork;
  Behaviour behaviour = {};
  WorkerCode code = {};         // fork: what the workers run
  Program worker_program = {};  // spawn
  Program fork_server = {};     // forkserver
  Program tracker_program = {}; // where the behaviour has one, under spawn and forkserver
  PoolObserver *observer = nullptr;
};

/// A pipe or a lock of a pool: a descriptor, or a semaphore in memory of the calling process and the pipe that it
/// guards.
struct NamedObject {
  std::string name;
  int fd = -1;
  const void *semaphore = nullptr;
  std::string guards = {};
};

/// What a task starts is the task's own: a worker that ends leaves it to the nearest subreaper, which may be this
/// process, and no behaviour ends it or waits for it.
class ProcessPool {
public:
  /// Starts the management thread, and this the workers. With start method fork the calling process should have no
  /// other thread that runs. Throws std::invalid_argument, or whatever kept a worker from starting.
  explicit ProcessPool(PoolOptions options);
  /// shutdown(true): with the behaviours that hang, it hangs.
  ~ProcessPool();

  /// Throws BrokenPool, or std::logic_error after shutdown.
  std::future<std::string> submit(std::string task);
  /// No more tasks are taken. With `wait`, returns when the management thread has ended: whether the workers have
  /// is the behaviour's affair. Idempotent.
  void shutdown(bool wait);

  int queue_depth() const { return calls_.depth(); }
  int queue_capacity() const { return options_.queue_slots > 0 ? options_.queue_slots : options_.workers + 1; }
  std::vector<pid_t> worker_pids() const;
  std::vector<Helper> helpers() const;
  std::vector<NamedObject> objects() const;

private:
  struct QueueFull {}; // put_nowait's exception
  struct Worker {
    std::unique_ptr<WorkerProcess> process;
    bool exit_reported = false;
  };

  bool start_workers(std::promise<void> done);
  std::unique_ptr<Starter> make_starter();
  WorkerEnds worker_ends() const;

  // The management thread.
  void manage();
  void run();
  std::optional<Deadline> shutdown_deadline() const;
  void fill_call_queue();
  enum class Event { result, wakeup, worker_exited, shutdown_expired };
  Event wait_for_event();
  void take_result();
  bool done();
  void break_pending();
  void handle_breakage();
  void send_signal(int signal);
  void send_sentinels(bool broken);
  void join_workers(bool broken);
  bool is_alive(Worker &worker);
  int count_alive();
  void join(Worker &worker);
  void end_workers();
  void stop_helpers(Deadline deadline);
  void wake();

  PoolOptions options_;
  PoolObserver &observer_;
  CallQueue calls_;
  os::Pipe results_;
  ResultReader result_reader_;
  os::Pipe wakeups_;
  std::optional<Tracker> tracker_;
  std::unique_ptr<Starter> starter_;
  std::vector<Worker> workers_; // in the order of their start

  mutable std::mutex mutex_; // guards what follows
  std::map<std::uint64_t, std::promise<std::string>> pending_;
  std::deque<Call> waiting_; // pending, and not yet in the call queue
  std::uint64_t next_id_ = 0;
  bool broken_ = false;
  bool shutting_down_ = false;
  std::optional<Deadline> shutdown_deadline_; // JoinPolicy::bounded

  std::thread management_thread_;
};

} // namespace pidleak::pool

// The caller's side of the pool: construction, submit, shutdown. The other side is management_thread.cpp.
#include "harness/pool/pool.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace pidleak::pool {
namespace {

PoolObserver silent_observer;

PoolOptions checked(PoolOptions options) {
  if (options.workers < 1)
    throw std::invalid_argument("a pool needs at least one worker");
  if (options.start_method == StartMethod::fork && !options.code.run_task)
    throw std::invalid_argument("start method fork needs code.run_task");
  return options;
}

} // namespace

ProcessPool::ProcessPool(PoolOptions options)
    : options_(checked(std::move(options))), observer_(options_.observer ? *options_.observer : silent_observer),
      calls_(queue_capacity()), results_(os::open_pipe()),
      result_reader_(results_.read_end.get(), options_.behaviour.reads_whole_results),
      wakeups_(os::open_pipe(O_NONBLOCK)) {
  if (!options_.behaviour.reads_whole_results)
    os::set_nonblocking(results_.read_end.get());
  if (options_.behaviour.tracker != TrackerPolicy::none && options_.start_method != StartMethod::fork)
    tracker_.emplace(options_.behaviour.tracker, options_.tracker_program);
  starter_ = make_starter();
  std::promise<void> start;
  auto started = start.get_future();
  management_thread_ = std::thread([this, start = std::move(start)]() mutable {
    if (start_workers(std::move(start)))
      manage();
  });
  try {
    started.get();
  } catch (...) { // out of processes, say: those that did start must not be left
    management_thread_.join();
    end_workers();
    stop_helpers(Deadline::after(options_.behaviour.terminate_grace));
    throw;
  }
}

ProcessPool::~ProcessPool() { shutdown(true); }

/// By the management thread: workers that leave with their owner do so with the thread that started them, and this one
/// outlives them. Returns whether all have started.
bool ProcessPool::start_workers(std::promise<void> done) {
  try {
    for (int i = 0; i < options_.workers; ++i)
      workers_.push_back({.process = starter_->start()});
  } catch (...) {
    done.set_exception(std::current_exception());
    return false;
  }
  done.set_value();
  return true;
}

std::unique_ptr<Starter> ProcessPool::make_starter() {
  switch (options_.start_method) {
  case StartMethod::fork:
    // With a copy of either, workers never see that the owner is gone: one waits for calls, or for room for results.
    if (!options_.behaviour.workers_hold_write_end)
      return make_fork_starter(worker_ends(), options_.code, {calls_.write_fd(), results_.read_end.get()});
    return make_fork_starter(worker_ends(), options_.code, {});
  case StartMethod::spawn:
    return make_spawn_starter(worker_ends(), options_.worker_program);
  case StartMethod::forkserver:
    return make_forkserver_starter(worker_ends(), options_.fork_server);
  }
  throw std::invalid_argument("no such start method");
}

WorkerEnds ProcessPool::worker_ends() const {
  return {.locks = calls_.locks_fd(),
          .calls_read = calls_.read_fd(),
          .calls_write = options_.behaviour.workers_hold_write_end ? calls_.write_fd() : -1,
          .results_write = results_.write_end.get(),
          .tracker = tracker_ ? tracker_->fd() : -1,
          .reset_signals = options_.behaviour.reset_signals,
          .leave_with = options_.behaviour.workers_leave_with_parent ? ::getpid() : 0};
}

std::future<std::string> ProcessPool::submit(std::string task) {
  std::lock_guard lock(mutex_);
  if (broken_)
    throw BrokenPool();
  if (shutting_down_)
    throw std::logic_error("cannot submit a task after shutdown");
  auto id = next_id_++;
  auto future = pending_[id].get_future();
  waiting_.push_back({.id = id, .task = std::move(task)});
  wake();
  return future;
}

void ProcessPool::shutdown(bool wait) {
  {
    std::lock_guard lock(mutex_);
    if (!shutting_down_ && options_.behaviour.join == JoinPolicy::bounded)
      shutdown_deadline_ = Deadline::after(options_.behaviour.shutdown_grace);
    shutting_down_ = true;
    wake();
  }
  if (wait && management_thread_.joinable())
    management_thread_.join();
}

void ProcessPool::wake() {
  char byte = 0;
  if (::write(wakeups_.write_end.get(), &byte, 1) < 0 && errno != EAGAIN) // EAGAIN: it has been woken already
    std::terminate();
}

std::vector<pid_t> ProcessPool::worker_pids() const {
  std::vector<pid_t> pids;
  for (const auto &worker : workers_)
    pids.push_back(worker.process->ref().pid());
  return pids;
}

std::vector<NamedObject> ProcessPool::objects() const {
  const auto &locks = calls_.locks();
  return {{.name = "the call queue's pipe", .fd = calls_.read_fd()},
          {.name = "the result queue's pipe", .fd = results_.read_end.get()},
          {.name = "the management thread's wake-up pipe", .fd = wakeups_.read_end.get()},
          {.name = "the call queue's lock", .semaphore = &locks.read_lock, .guards = "the call queue's pipe"},
          {.name = "the result queue's lock", .semaphore = &locks.result_lock, .guards = "the result queue's pipe"}};
}

std::vector<Helper> ProcessPool::helpers() const {
  auto all = starter_->helpers();
  if (tracker_)
    all.push_back(tracker_->helper());
  return all;
}

} // namespace pidleak::pool

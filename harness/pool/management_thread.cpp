// The management thread: moves tasks out and results back, notices that a worker died, and ends the pool.
#include "harness/os/syscall_error.hpp"
#include "harness/pool/pool.hpp"

#include <poll.h>

#include <csignal>

namespace pidleak::pool {

void ProcessPool::manage() {
  std::string exception; // as in Python it ends the thread, and not the program
  try {
    run();
  } catch (const QueueFull &) {
    exception = "queue.Full";
  } catch (const std::exception &e) {
    exception = e.what();
  }
  if (!exception.empty() && options_.behaviour.exception_breaks_pool) {
    try {
      break_pending();
      end_workers();
    } catch (const std::exception &e) {
      exception += fmt::format("; then {}", e.what());
    }
  }
  observer_.management_thread_ended(exception);
}

void ProcessPool::run() {
  for (;;) {
    fill_call_queue();
    switch (wait_for_event()) {
    case Event::result:
      take_result();
      break;
    case Event::wakeup:
      break;
    case Event::worker_exited:
      handle_breakage();
      return;
    case Event::shutdown_expired:
      break_pending();
      end_workers();
      return;
    }
    if (done()) {
      send_sentinels(false);
      join_workers(false);
      return;
    }
  }
}

std::optional<Deadline> ProcessPool::shutdown_deadline() const {
  std::lock_guard lock(mutex_);
  return shutdown_deadline_;
}

void ProcessPool::fill_call_queue() {
  std::lock_guard lock(mutex_);
  while (!waiting_.empty() && calls_.try_put(waiting_.front()))
    waiting_.pop_front();
}

/// Results come first, then wake-ups, then the workers' ends, as in CPython.
ProcessPool::Event ProcessPool::wait_for_event() {
  std::vector<pollfd> events = {{.fd = results_.read_end.get(), .events = POLLIN, .revents = 0},
                                {.fd = wakeups_.read_end.get(), .events = POLLIN, .revents = 0}};
  for (const auto &worker : workers_)
    events.push_back({.fd = worker.process->ref().pidfd(), .events = POLLIN, .revents = 0});
  auto deadline = shutdown_deadline();
  int ready = 0;
  while ((ready = ::poll(events.data(), events.size(), deadline ? deadline->left_ms() : -1)) < 0)
    if (errno != EINTR)
      os::throw_errno("poll(results, wake-ups, {} sentinels)", workers_.size());
  if (ready == 0 || (deadline && deadline->passed())) // results that keep coming must not put the end off
    return Event::shutdown_expired;
  if (events[0].revents)
    return Event::result;
  if (events[1].revents) {
    char bytes[64];
    while (::read(wakeups_.read_end.get(), bytes, sizeof bytes) > 0) {
    }
    return Event::wakeup;
  }
  return Event::worker_exited;
}

void ProcessPool::take_result() {
  auto result = result_reader_.next();
  std::lock_guard lock(mutex_);
  auto found = result ? pending_.find(result->id) : pending_.end();
  if (found == pending_.end())
    return;
  found->second.set_value(std::move(result->value));
  pending_.erase(found);
}

bool ProcessPool::done() {
  std::lock_guard lock(mutex_);
  return shutting_down_ && pending_.empty();
}

/// No worker will do what is pending: its futures say so.
void ProcessPool::break_pending() {
  std::lock_guard lock(mutex_);
  broken_ = true;
  shutting_down_ = true;
  for (auto &[id, promise] : pending_)
    promise.set_exception(std::make_exception_ptr(BrokenPool()));
  pending_.clear();
  waiting_.clear();
}

void ProcessPool::handle_breakage() {
  int depth = calls_.depth();
  break_pending();
  observer_.broken(depth);
  if (options_.behaviour.terminate == TerminatePolicy::escalate) {
    end_workers();
    return;
  }
  send_signal(SIGTERM);
  send_sentinels(true);
  observer_.breakage_handled();
  join_workers(true);
}

void ProcessPool::send_signal(int signal) {
  for (const auto &worker : workers_)
    if (!worker.process->status() && !worker.process->ref().has_exited() && worker.process->ref().send(signal))
      observer_.signal_sent(worker.process->ref().pid(), signal);
}

void ProcessPool::send_sentinels(bool broken) {
  if (broken && options_.behaviour.sentinels == SentinelPolicy::none_when_broken) {
    calls_.discard();
    return;
  }
  if (broken)
    observer_.before_count();
  int wanted = count_alive(), sent = 0;
  if (broken && options_.behaviour.sentinels == SentinelPolicy::put_nowait) {
    for (; sent < wanted; ++sent)
      if (!calls_.try_put({})) {
        observer_.breakage_handled();
        throw QueueFull{};
      }
    return;
  }
  // Spins while the queue is full, and uses a whole CPU for it: so does CPython 3.7 to 3.11.
  bool told = false;
  auto is_late = [deadline = shutdown_deadline()] { return deadline && deadline->passed(); };
  while (sent < wanted && count_alive() > 0 && !is_late()) {
    while (sent < wanted && calls_.try_put({}))
      ++sent;
    if (broken && sent < wanted && !std::exchange(told, true))
      observer_.breakage_handled();
    std::this_thread::yield();
  }
}

bool ProcessPool::is_alive(Worker &worker) {
  if (worker.process->alive())
    return true;
  if (!std::exchange(worker.exit_reported, true))
    observer_.worker_exited(worker.process->ref().pid(), worker.process->status());
  return false;
}

int ProcessPool::count_alive() {
  int alive = 0;
  for (auto &worker : workers_)
    alive += is_alive(worker);
  return alive;
}

void ProcessPool::join(Worker &worker) {
  worker.process->join();
  is_alive(worker);
}

void ProcessPool::join_workers(bool broken) {
  if (options_.behaviour.join == JoinPolicy::bounded) {
    auto deadline = shutdown_deadline().value_or(Deadline::after(options_.behaviour.shutdown_grace));
    for (auto &worker : workers_)
      if (!worker.process->join_before(deadline)) {
        end_workers();
        return;
      }
    if (options_.behaviour.stop_fork_server)
      stop_helpers(deadline);
    return;
  }
  for (auto &worker : workers_) {
    const auto &ref = worker.process->ref();
    if (broken && options_.behaviour.terminate == TerminatePolicy::again_before_join && is_alive(worker) &&
        ref.send(SIGTERM))
      observer_.signal_sent(ref.pid(), SIGTERM);
    join(worker);
  }
}

/// SIGTERM, then SIGKILL for those that are left after the grace. Leaves nothing behind, whatever the workers do:
/// within terminate_grace and the time that the kernel needs to end a process.
void ProcessPool::end_workers() {
  send_signal(SIGTERM);
  auto grace = Deadline::after(options_.behaviour.terminate_grace);
  bool all_gone = true;
  for (const auto &worker : workers_)
    all_gone = worker.process->join_before(grace) && all_gone;
  if (!all_gone)
    send_signal(SIGKILL);
  observer_.breakage_handled();
  for (auto &worker : workers_)
    join(worker);
  if (options_.behaviour.stop_fork_server)
    stop_helpers(Deadline::after(options_.behaviour.terminate_grace));
  calls_.discard(); // last: as long as the fork server holds the pipe, a feeder that waits for room does not end
}

/// A fork server that was killed, by this pool or another process, had not waited for all of its children: those that
/// this process has adopted are the pool's to reap. No worker may live any more.
void ProcessPool::stop_helpers(Deadline deadline) {
  starter_->stop(deadline);
  for (auto &worker : workers_)
    worker.process->reap_if_adopted();
}

} // namespace pidleak::pool

// For tests of pools: tasks that wait at gates, as in a replay, and a witness of what the pool does.
#pragma once

#include "harness/os/test_support.hpp"
#include "harness/pool/pool.hpp"
#include "harness/protocol/message.hpp"
#include "workers/worker_code.hpp"

#include <boost/mp11/algorithm.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <fstream>
#include <map>

/// A generator of all values of an enumeration.
#define EVERY(E) GENERATE(from_range(::pidleak::testing::every<E>()))

namespace pidleak::testing {

inline const os::WaitStatus well{};

inline void wait_for_byte(const os::Pipe &pipe) {
  char byte = 0;
  expect(os::read_exactly(pipe.read_end.get(), &byte, 1), "the handshake came");
}

inline void send_byte(const os::Pipe &pipe) { os::write_all(pipe.write_end.get(), "."); }

template <class E>
std::vector<E> every() {
  std::vector<E> all;
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) { all.push_back(d.value); });
  return all;
}

/// The driver's side of the channel that workers of every start method know (workers/task.hpp). Made by the test
/// process, which removes the directory whatever becomes of the body.
class Gates {
public:
  explicit Gates(int tasks) {
    directory_ = std::filesystem::temp_directory_path() / "pidleak-gates-XXXXXX";
    if (!::mkdtemp(directory_.data()))
      os::throw_errno("mkdtemp({})", directory_);
    events_ = make_fifo("events");
    os::set_nonblocking(events_.get());
    for (int task = 0; task < tasks; ++task)
      gates_.push_back(make_fifo(fmt::format("gate-{}", task)));
    for (auto point : every<pool::WorkerPoint>())
      gates_.push_back(make_fifo("gate-" + spell(point)));
  }
  ~Gates() { std::filesystem::remove_all(directory_); }
  Gates(Gates &&) = delete;

  const std::string &directory() const { return directory_; }

  /// Lets one run of the task end, or the next.
  void finish(std::size_t task) const { os::write_all(gates_[task].get(), "\n"); }
  void finish_all() const {
    for (std::size_t task = 0; task < gates_.size(); ++task)
      finish(task);
  }

  protocol::Message next_event(Where where = BOOST_CURRENT_LOCATION) {
    std::optional<std::string> line;
    wait_until(
        [&] {
          char bytes[4096];
          ssize_t got = ::read(events_.get(), bytes, sizeof bytes);
          lines_.append({bytes, got > 0 ? static_cast<std::size_t>(got) : 0});
          return (line = lines_.next()).has_value();
        },
        "a worker reports", where);
    return protocol::Message::parse(*line, "event");
  }

  /// Waits until so many tasks run. Who runs which.
  std::map<long long, pid_t> wait_for_starts(int count, Where where = BOOST_CURRENT_LOCATION) {
    std::map<long long, pid_t> workers;
    while (count-- > 0) {
      auto event = next_event(where);
      workers[event.integer("task")] = event.pid("pid");
    }
    return workers;
  }

  /// From now on that worker stops there.
  void choose(pool::WorkerPoint point, pid_t worker) const {
    std::ofstream(directory_ + "/chosen-for-" + spell(point)) << worker;
  }

private:
  /// Open for both directions: neither side ever waits for the other to open it.
  os::UniqueFd make_fifo(const std::string &name) const {
    auto path = directory_ + "/" + name;
    if (::mkfifo(path.c_str(), 0600) != 0)
      os::throw_errno("mkfifo({})", path);
    return os::UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  }

  std::string directory_;
  os::UniqueFd events_;
  std::vector<os::UniqueFd> gates_;
  protocol::LineBuffer lines_;
};

/// As long as it lives this process may open no descriptor whose number is `limit` or above; what is open stays open.
class FewDescriptors {
public:
  explicit FewDescriptors(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few{.rlim_cur = limit, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(FewDescriptors &&) = delete;

private:
  rlimit before_{};
};

/// Remembers what a pool says of itself.
class Witness final : public pool::PoolObserver {
public:
  void signal_sent(pid_t, int signal) override { note("sent " + os::signal_name(signal)); }
  void breakage_handled() override { note("handled"); }
  void management_thread_ended(const std::string &exception) override { note("ended by " + exception); }
  int count(const std::string &what) const {
    std::lock_guard lock(mutex_);
    auto found = notes_.find(what);
    return found == notes_.end() ? 0 : found->second;
  }

private:
  void note(const std::string &what) {
    std::lock_guard lock(mutex_);
    ++notes_[what];
  }
  mutable std::mutex mutex_;
  std::map<std::string, int> notes_;
};

/// Three workers that run tasks at `gates`.
inline pool::PoolOptions options_for(StartMethod method, const pool::Behaviour &behaviour, const Gates &gates,
                                     pool::PoolObserver *observer = nullptr, bool handler_at_import = false) {
  workers::WorkerSetUp set_up{.channel = gates.directory(), .handler_at_import = handler_at_import};
  const std::string programs = PIDLEAK_BINARY_DIR "/";
  return {.workers = 3,
          .start_method = method,
          .behaviour = behaviour,
          .code = workers::make_worker_code(set_up),
          .worker_program = {programs + "pidleak-worker", set_up.to_arguments()},
          .fork_server = {programs + "pidleak-fork-server", set_up.to_arguments()},
          .tracker_program = {programs + "pidleak-tracker"},
          .observer = observer};
}

/// Never destroyed: the destructor of a pool that hangs would hide what the test found.
inline pool::ProcessPool &open_pool(pool::PoolOptions options) { return *new pool::ProcessPool(std::move(options)); }

using Futures = std::vector<std::future<std::string>>;

inline Futures submit(pool::ProcessPool &pool, const Gates &gates, int count, int first = 0) {
  Futures futures;
  for (int task = first; task < first + count; ++task)
    futures.push_back(pool.submit(workers::describe_task(task, gates.directory())));
  return futures;
}

/// What a future holds: its value, or what it throws.
inline std::string outcome(std::future<std::string> &future) {
  if (future.wait_for(std::chrono::seconds(10)) != std::future_status::ready)
    return "nothing";
  try {
    return future.get();
  } catch (const pool::BrokenPool &) {
    return "BrokenPool";
  } catch (const std::exception &e) {
    return e.what();
  }
}

inline void expect_outcomes(Futures &futures, const std::string &wanted, Where where = BOOST_CURRENT_LOCATION) {
  for (auto &future : futures)
    expect_equal(outcome(future), wanted, "a future's outcome", where);
}

/// Waits without end: in read(2) for a call, in write(2) for room for a result, or in futex(2) for a queue's lock.
inline bool is_idle(pid_t worker) {
  auto call = os::read_syscall(worker, worker);
  auto stat = os::read_stat(worker);
  return call && !call->running && stat && stat->state == 'S' &&
         (call->number == SYS_read || call->number == SYS_write || call->number == SYS_futex);
}

/// Every child is a declared helper. Under forkserver it is the server that reaps the workers, in its own time.
inline void expect_helpers_only(const pool::ProcessPool &pool, Where where = BOOST_CURRENT_LOCATION) {
  std::vector<pid_t> helpers;
  for (const auto &helper : pool.helpers()) {
    helpers.push_back(helper.pid);
    wait_until([&] { return os::read_children(helper.pid).empty(); }, helper.role + " has no child", where);
  }
  for (pid_t child : os::read_children(::getpid())) {
    auto stat = os::read_stat(child);
    auto what =
        fmt::format("child {} ({}, state {}) is a helper", child, stat ? stat->comm : "", stat ? stat->state : '?');
    expect(std::ranges::count(helpers, child) == 1, what, where);
  }
  for (pid_t worker : pool.worker_pids())
    expect(!os::ProcessRef::open(worker), fmt::format("worker {} is gone", worker), where);
}

} // namespace pidleak::testing

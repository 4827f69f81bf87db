// pidleak-planted-pool NAME [--mended]: hosts a small pool that is sound but for one thing, which a sweep finds at the
// points where it matters and at no other. Mended, that one thing is right, and the pool is clean at every point.
//
//   owner ──▶ a pipe a worker ──▶ worker      one thread each; a task is a line, a result its size and its bytes
//   owner ◀── a pipe a worker ◀── worker
//
// The tests of the sweep know of each its points: harness/sweep/planted_pools_test.cpp.
#include "harness/base/spelling.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/protocol/message.hpp"
#include "workers/task.hpp"

#include <boost/describe/enum.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>

namespace {

using namespace pidleak;
using protocol::Message;

// clang-format off
BOOST_DEFINE_ENUM_CLASS(Plant,
  header_in_two_writes,      // the owner reads a result's bytes from a pipe of which it holds the write end as well
  forked_before_noted,       // a handler of SIGTERM ends the workers that it knows, and is not told of the last yet
  handler_that_forks,        // a handler of SIGTERM, in place while a result is written, starts a process that stays
  lock_around_one_call,      // the log's lock is not robust, and the owner takes it when a worker has died
  skips_its_cleanup,         // where a worker can't be started, those that are there already stay
  loses_what_it_cannot_hold, // a worker whose pidfd can't be opened is forgotten
  counts_what_was_not_forked, // a worker that could not be started is waited for
  does_not_reap_the_new,     // a worker that has died before its first task is not waited for
  waits_for_farewell,        // a worker's last byte is read from a pipe of which the owner holds the write end
  waits_for_ready,           // and so is its first
  helper_of_a_task,          // a worker's helper waits for a word that only a living worker says
  tells_its_tracker_late     // the tracker ends the workers of a dead owner, but is not told of the last yet
)
// clang-format on

Plant plant;
bool mended = false;

bool is(Plant which) { return plant == which; }
bool is_bad(Plant which) { return plant == which && !mended; }

/// Workers that do not notice their owner's end: what is left of them is the owner's work, or its tracker's.
bool workers_are_deaf() {
  return is(Plant::forked_before_noted) || is(Plant::skips_its_cleanup) || is(Plant::loses_what_it_cannot_hold) ||
         is_bad(Plant::tells_its_tracker_late);
}

bool has_farewell() { return is(Plant::waits_for_farewell) || is(Plant::counts_what_was_not_forked); }

[[noreturn]] void stay() {
  while (true)
    ::pause();
}

/// A line a result, by owner and workers: the lock is in memory that they share.
class Log {
public:
  Log() {
    fd_ = os::UniqueFd::adopt(::memfd_create("log", MFD_CLOEXEC));
    void *memory = ::mmap(nullptr, sizeof *lock_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fd_ || memory == MAP_FAILED)
      os::throw_errno("make a log");
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!is_bad(Plant::lock_around_one_call))
      ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(lock_ = static_cast<pthread_mutex_t *>(memory), &attributes);
  }

  void add(const std::string &line) const {
    if (::pthread_mutex_lock(lock_) == EOWNERDEAD)
      ::pthread_mutex_consistent(lock_);
    os::write_all(fd_.get(), line);
    ::pthread_mutex_unlock(lock_);
  }

private:
  os::UniqueFd fd_;
  pthread_mutex_t *lock_ = nullptr;
};

/// What of the pool both sides have.
struct Shared {
  pid_t owner = ::getpid();
  std::string channel;
  os::Pipe farewell, ready, tracker;
  std::optional<Log> log;
};

struct Worker {
  pid_t pid = 0;
  int pidfd = -1;
  os::Pipe tasks, results;
  std::optional<std::string> task; // that it does
  bool had_one = false;
  bool exists = false;
};

// What a handler of SIGTERM in the owner knows.
constexpr std::size_t most_workers = 8;
volatile pid_t noted[most_workers];

void end_the_noted(int) {
  for (pid_t pid : noted)
    if (pid > 0)
      ::kill(pid, SIGKILL); // a child that was not waited for: its pid is its own
  ::_exit(0);
}

void start_one_that_stays(int) {
  if (!mended && ::fork() == 0)
    stay();
  ::_exit(1);
}

// --- the worker

std::optional<std::string> read_line(int fd) {
  char bytes[256]; // the owner writes a line, and no other before this one is done
  ssize_t got = ::read(fd, bytes, sizeof bytes);
  if (got <= 0)
    return {};
  return std::string(bytes, static_cast<std::size_t>(got - 1));
}

bool write_result(int fd, const std::string &result) {
  std::uint64_t size = result.size();
  std::string header(reinterpret_cast<const char *>(&size), sizeof size);
  if (is(Plant::header_in_two_writes))
    return os::write_all(fd, header) && os::write_all(fd, result);
  return os::write_all(fd, header + result);
}

/// False if the owner is gone.
bool send_result(int fd, const std::string &result) {
  if (is(Plant::handler_that_forks))
    std::signal(SIGTERM, start_one_that_stays);
  bool sent = write_result(fd, result);
  if (is(Plant::handler_that_forks))
    std::signal(SIGTERM, SIG_DFL);
  return sent;
}

std::string do_task(const Shared &shared, long long number) {
  auto run = [&] { return workers::run_task(workers::describe_task(number, shared.channel)); };
  if (!is(Plant::helper_of_a_task))
    return run();
  auto word = os::open_pipe();
  pid_t helper = ::fork();
  if (helper == 0) {
    if (mended)
      word.write_end.reset();
    char byte = 0;
    ::_exit(::read(word.read_end.get(), &byte, 1) == 1 ? 0 : 1);
  }
  auto result = run();
  os::write_all(word.write_end.get(), "q");
  ::waitpid(helper, nullptr, 0);
  return result;
}

[[noreturn]] void work(Shared &shared, const os::Pipe &tasks, const os::Pipe &results) {
  if (is(Plant::forked_before_noted)) {
    os::reset_all_signals();
    os::ignore_sigpipe();
  }
  if (!workers_are_deaf()) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != shared.owner)
      ::_exit(1);
  }
  if (is(Plant::waits_for_ready)) {
    os::write_all(shared.ready.write_end.get(), "r");
    if (mended)
      shared.ready.write_end.reset();
  }
  while (auto task = read_line(tasks.read_end.get())) {
    if (*task == "quit")
      break;
    if (!send_result(results.write_end.get(), do_task(shared, std::stoll(*task))))
      break;
    if (shared.log)
      shared.log->add("done\n");
  }
  if (has_farewell())
    os::write_all(shared.farewell.write_end.get(), "f");
  ::_exit(0);
}

/// Ends, when the owner has ended, whom it was told.
[[noreturn]] void track(int fd) {
  std::vector<int> workers;
  pid_t pid = 0;
  while (os::read_exactly(fd, &pid, sizeof pid))
    workers.push_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  for (int worker : workers)
    ::syscall(SYS_pidfd_send_signal, worker, SIGKILL, nullptr, 0);
  ::_exit(0);
}

// --- the owner

class Pool {
public:
  Pool(std::size_t workers, const std::string &channel) : workers_(workers) {
    shared_.channel = channel;
    if (is(Plant::forked_before_noted))
      std::signal(SIGTERM, end_the_noted);
    if (is(Plant::lock_around_one_call))
      shared_.log.emplace();
    if (has_farewell())
      shared_.farewell = os::open_pipe();
    if (is(Plant::waits_for_ready))
      shared_.ready = os::open_pipe();
    if (is(Plant::tells_its_tracker_late))
      start_tracker();
    try {
      for (std::size_t i = 0; i < workers; ++i)
        start(i);
    } catch (const os::SyscallError &) {
      if (!is_bad(Plant::skips_its_cleanup))
        end_all();
      throw;
    }
    if (is(Plant::waits_for_ready)) {
      if (mended)
        shared_.ready.write_end.reset();
      hear_a_byte_of_each(shared_.ready);
    }
  }

  std::vector<pid_t> pids() const {
    std::vector<pid_t> all;
    for (const auto &worker : workers_)
      if (worker.exists)
        all.push_back(worker.pid);
    return all;
  }
  pid_t tracker() const { return tracker_; }

  /// False if it is broken.
  bool submit(long long task) {
    ++unresolved_;
    if (broken_)
      return false;
    waiting_.push_back(fmt::format("{}\n", task));
    assign();
    return true;
  }

  /// What it waits for: the results and the end of each worker.
  void add_to(std::vector<pollfd> &polled) const {
    for (const auto &worker : workers_)
      if (worker.exists) {
        polled.push_back({.fd = worker.results.read_end.get(), .events = POLLIN, .revents = 0});
        polled.push_back({.fd = worker.pidfd, .events = POLLIN, .revents = 0});
      }
  }

  void handle(const std::vector<pollfd> &polled) {
    auto is_ready = [&](int fd) {
      for (const auto &one : polled)
        if (one.fd == fd)
          return one.revents != 0;
      return false;
    };
    for (auto &worker : workers_) {
      if (!worker.exists || broken_)
        continue;
      // A result first: what it has written before it died is there.
      bool lost = is_ready(worker.results.read_end.get()) ? !take_result(worker) : is_ready(worker.pidfd);
      if (lost)
        break_off();
    }
    assign();
  }

  void shut_down() {
    while (!broken_ && (!waiting_.empty() || is_busy())) {
      std::vector<pollfd> polled;
      add_to(polled);
      ::poll(polled.data(), polled.size(), -1);
      handle(polled);
    }
    for (auto &worker : workers_)
      if (worker.exists) {
        os::write_all(worker.tasks.write_end.get(), "quit\n");
        worker.tasks.write_end.reset();
      }
    if (has_farewell() && !broken_) {
      if (!is_bad(Plant::waits_for_farewell) && !is_bad(Plant::counts_what_was_not_forked))
        shared_.farewell.write_end.reset();
      hear_a_byte_of_each(shared_.farewell);
    }
    for (auto &worker : workers_)
      if (worker.exists)
        reap(worker);
    if (tracker_ > 0) {
      shared_.tracker.write_end.reset();
      ::waitpid(tracker_, nullptr, 0);
    }
  }

  int done() const { return done_; }
  int unresolved() const { return broken_ ? 0 : unresolved_; }
  int failed() const { return broken_ ? unresolved_ : 0; }

private:
  void start_tracker() {
    shared_.tracker = os::open_pipe();
    tracker_ = ::fork();
    if (tracker_ < 0)
      os::throw_errno("fork()");
    if (tracker_ == 0) {
      shared_.tracker.write_end.reset();
      track(shared_.tracker.read_end.get());
    }
  }

  void start(std::size_t i) {
    auto &worker = workers_[i];
    worker.tasks = os::open_pipe();
    worker.results = os::open_pipe();
    sigset_t terms, before;
    ::sigemptyset(&terms);
    ::sigaddset(&terms, SIGTERM);
    if (is(Plant::forked_before_noted) && mended)
      ::sigprocmask(SIG_BLOCK, &terms, &before);
    pid_t pid = ::fork();
    if (pid == 0)
      be(worker);
    noted[i] = pid;
    if (is(Plant::forked_before_noted) && mended)
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
      if (!is(Plant::counts_what_was_not_forked))
        os::throw_errno("fork()");
      return;
    }
    hold(worker, pid);
    worker.tasks.read_end.reset();
    if (!is_bad(Plant::header_in_two_writes))
      worker.results.write_end.reset();
    if (tracker_ > 0)
      os::write_all(shared_.tracker.write_end.get(), {reinterpret_cast<const char *>(&pid), sizeof pid});
  }

  void hold(Worker &worker, pid_t pid) {
    int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
      if (!is_bad(Plant::loses_what_it_cannot_hold)) {
        ::kill(pid, SIGKILL); // a child that was not waited for: its pid is its own
        ::waitpid(pid, nullptr, 0);
      }
      os::throw_errno("pidfd_open()");
    }
    worker.pid = pid;
    worker.pidfd = pidfd;
    worker.exists = true;
  }

  /// In the child: it keeps its own ends, and nothing of its siblings.
  [[noreturn]] void be(Worker &self) {
    for (auto &worker : workers_)
      if (&worker != &self) {
        worker.tasks = {};
        worker.results = {};
      }
    if (!workers_are_deaf())
      self.tasks.write_end.reset();
    self.results.read_end.reset();
    shared_.farewell.read_end.reset();
    shared_.ready.read_end.reset();
    shared_.tracker = {};
    work(shared_, self.tasks, self.results);
  }

  void assign() {
    for (auto &worker : workers_) {
      if (waiting_.empty() || broken_)
        return;
      if (!worker.exists || worker.task)
        continue;
      worker.task = waiting_.front();
      waiting_.pop_front();
      worker.had_one = true;
      os::write_all(worker.tasks.write_end.get(), *worker.task);
    }
  }

  bool is_busy() const {
    for (const auto &worker : workers_)
      if (worker.task)
        return true;
    return false;
  }

  /// False if the worker has ended within it.
  bool take_result(Worker &worker) {
    std::uint64_t size = 0;
    if (!os::read_exactly(worker.results.read_end.get(), &size, sizeof size))
      return false;
    std::string result(size, '\0');
    if (!os::read_exactly(worker.results.read_end.get(), result.data(), size))
      return false;
    worker.task.reset();
    ++done_;
    --unresolved_;
    return true;
  }

  void break_off() {
    broken_ = true;
    waiting_.clear();
    if (shared_.log)
      shared_.log->add("a worker has died\n");
    end_all();
  }

  void end_all() {
    for (auto &worker : workers_)
      if (worker.exists) {
        ::syscall(SYS_pidfd_send_signal, worker.pidfd, SIGKILL, nullptr, 0);
        if (!is_bad(Plant::does_not_reap_the_new) || worker.had_one)
          reap(worker);
        worker.exists = false;
      }
  }

  void reap(Worker &worker) {
    ::waitpid(worker.pid, nullptr, 0);
    noted[&worker - workers_.data()] = 0;
    worker.exists = false;
  }

  void hear_a_byte_of_each(const os::Pipe &pipe) {
    char byte = 0;
    for (const auto &worker : workers_)
      if (worker.exists || is(Plant::counts_what_was_not_forked))
        if (!os::read_exactly(pipe.read_end.get(), &byte, 1))
          return;
  }

  Shared shared_;
  std::vector<Worker> workers_;
  std::deque<std::string> waiting_; // tasks, a line each
  pid_t tracker_ = 0;
  bool broken_ = false;
  int done_ = 0, unresolved_ = 0;
};

// --- the protocol

void say(const std::string &event, nlohmann::json fields = nlohmann::json::object()) {
  os::write_all(1, Message::event(event, std::move(fields)).line());
}

class Subject {
public:
  void serve() {
    say("hello", {{"protocol", protocol::version},
                  {"pool", "planted pool " + spell(plant)},
                  {"version", mended ? "mended" : "bad"},
                  {"start_methods", {"fork"}},
                  {"dispositions", {"default"}},
                  {"runtime_handles_sigterm", is(Plant::forked_before_noted)}});
    protocol::LineBuffer lines;
    while (true) {
      while (auto line = lines.next())
        if (!obey(Message::parse(*line, "command")))
          return;
      std::vector<pollfd> polled = {{.fd = 0, .events = POLLIN, .revents = 0}};
      if (pool_)
        pool_->add_to(polled);
      ::poll(polled.data(), polled.size(), -1);
      if (pool_)
        pool_->handle(polled);
      if (polled.front().revents == 0)
        continue;
      char bytes[4096];
      ssize_t got = ::read(0, bytes, sizeof bytes);
      if (got <= 0)
        return;
      lines.append({bytes, static_cast<std::size_t>(got)});
    }
  }

private:
  bool obey(const Message &command) {
    if (command.name() == "create_pool")
      create_pool(command);
    else if (command.name() == "submit")
      submit(command);
    else if (command.name() == "shutdown")
      shut_down();
    return command.name() != "exit";
  }

  void create_pool(const Message &command) {
    auto workers = static_cast<std::size_t>(command.integer("workers"));
    if (workers > most_workers)
      throw protocol::ProtocolError("too many workers");
    pool_ = std::make_unique<Pool>(workers, command.text("channel"));
    auto helpers = nlohmann::json::array();
    if (pool_->tracker() > 0)
      helpers.push_back({{"role", "tracker"}, {"pid", pool_->tracker()}});
    say("pool_created", {{"workers", pool_->pids()}, {"helpers", helpers}});
  }

  void submit(const Message &command) {
    nlohmann::json fields = nlohmann::json::object();
    auto task = command.integer("first_task");
    for (auto left = command.integer("count"); left > 0; --left)
      if (!pool_->submit(task++))
        fields["refused"] = "the pool is broken";
    say("submitted", fields);
  }

  void shut_down() {
    say("shutdown_called");
    pool_->shut_down();
    say("shutdown_returned",
        {{"done", pool_->done()}, {"failed", pool_->failed()}, {"unresolved", pool_->unresolved()}});
  }

  std::unique_ptr<Pool> pool_;
};

} // namespace

int main(int argc, char **argv) {
  auto named = argc > 1 ? parse_spelling<Plant>(argv[1]) : std::nullopt;
  if (!named || argc > 3 || (argc == 3 && std::strcmp(argv[2], "--mended") != 0)) {
    std::fprintf(stderr, "usage: pidleak-planted-pool NAME [--mended]\n");
    for (const auto &name : spellings<Plant>())
      std::fprintf(stderr, "  %s\n", name.c_str());
    return 2;
  }
  plant = *named;
  mended = argc == 3;
  int status = 0;
  try {
    os::ignore_sigpipe();
    Subject().serve();
  } catch (const std::exception &e) {
    say("error", {{"message", e.what()}});
    status = 1;
  }
  ::_exit(status); // no destructor tidies up after the pool
}

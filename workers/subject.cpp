// pidleak-subject: hosts the minimal pool, and does with it what the driver says on standard input.
//
//   commands (stdin) ──▶ main thread ──▶ ProcessPool
//   events (stdout)  ◀── main thread, and the pool's management thread through Reporter
//
// The protocol is in harness/protocol/PROTOCOL.md. This program is also the example for adapters to other pools.
#include "harness/os/installation.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/pool/pool.hpp"
#include "harness/protocol/message.hpp"
#include "workers/worker_code.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>

namespace {

using namespace pidleak;
using protocol::Message;

/// Writes events as lines, each whole: two threads report.
class Reporter final : public pool::PoolObserver {
public:
  void say(const std::string &event, nlohmann::json fields = nlohmann::json::object()) {
    std::lock_guard lock(mutex_);
    os::write_all(1, Message::event(event, std::move(fields)).line());
  }

  void hold_before_count_on(const std::string &channel) { hold_channel_ = channel; }

  void broken(int queue_depth) override { say("broken", {{"queue_depth", queue_depth}}); }
  void signal_sent(pid_t pid, int signal) override { say("signal_sent", {{"pid", pid}, {"signal", signal}}); }
  void before_count() override {
    if (hold_channel_)
      workers::Channel(*hold_channel_).hold("before-count", "gate-before-count");
  }
  void worker_exited(pid_t pid, std::optional<os::WaitStatus> status) override {
    nlohmann::json fields = {{"pid", pid}};
    if (status)
      fields[status->signaled ? "signal" : "status"] = status->value;
    say("worker_exited", fields);
  }
  void breakage_handled() override { say("breakage_handled"); }
  void management_thread_ended(const std::string &exception) override {
    say("management_thread_ended", {{"exception", exception}});
  }

private:
  std::mutex mutex_;
  std::optional<std::string> hold_channel_;
};

/// What the driver says, a line at a time: it says one thing and waits for the answer.
class Commands {
public:
  /// Nothing at the end of standard input.
  std::optional<std::string> next() {
    std::array<char, 4096> bytes{};
    for (;;) {
      if (auto line = lines_.next())
        return line;
      ssize_t got = ::read(0, bytes.data(), bytes.size());
      if (got == 0)
        return {};
      if (got < 0 && errno != EINTR)
        os::throw_errno("read(standard input)");
      lines_.append({bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0});
    }
  }

private:
  protocol::LineBuffer lines_;
};

/// The condition: what SIGTERM does in this process from now on.
void set_sigterm(Sigterm disposition) {
  switch (disposition) {
  case Sigterm::default_:
    return;
  case Sigterm::handler:
    return os::catch_sigterm();
  case Sigterm::ignored:
    return os::ignore_sigterm();
  case Sigterm::blocked:
    return os::block_sigterm();
  case Sigterm::exits:
    throw protocol::ProtocolError("this language has no way of its own to end a program in a handler");
  }
}

constexpr int plenty_of_slots = 1000; // more than any replay has tasks

class Subject {
public:
  void greet() {
    reporter_.say("hello", {{"protocol", protocol::version},
                            {"pool", "pidleak minimal pool"},
                            {"version", PIDLEAK_VERSION},
                            {"start_methods", spellings<StartMethod>()},
                            {"dispositions", spellings<os::SignalAction>()},
                            {"signal_resets", spellings<SignalReset>()},
                            {"handlers_registered", spellings<HandlerRegistered>()},
                            {"terminates", spellings<Terminate>()},
                            {"queue_slots", spellings<QueueSlots>()},
                            {"death_points", spellings<DeathPoint>()},
                            {"reports_queue_depth", true},
                            {"allocates", true},
                            {"reports_breakage", true},
                            {"holds_before_count", true}});
  }

  /// False when there is nothing more to do.
  bool obey(const Message &command) {
    if (command.name() == "create_pool")
      create_pool(command);
    else if (command.name() == "submit")
      submit(command);
    else if (command.name() == "queue_depth")
      reporter_.say("queue_depth", {{"depth", pool().queue_depth()}});
    else if (command.name() == "shutdown")
      shut_down();
    else if (command.name() == "allocate")
      workers::allocate(static_cast<std::size_t>(command.integer("mebibytes")));
    else if (command.name() != "exit")
      throw protocol::ProtocolError("unknown command: " + Message::printable(command.name()));
    return command.name() != "exit";
  }

  Reporter &reporter() { return reporter_; }

private:
  pool::ProcessPool &pool() {
    if (!pool_)
      throw protocol::ProtocolError("there is no pool yet: create_pool comes first");
    return *pool_;
  }

  void create_pool(const Message &command) {
    channel_ = command.text("channel");
    auto sigterm = command.word<Sigterm>("sigterm");
    workers::WorkerSetUp set_up{.channel = channel_,
                                .handler_at_import =
                                    sigterm == Sigterm::handler &&
                                    command.word<HandlerRegistered>("handler_registered") == HandlerRegistered::import};
    pool::PoolOptions options;
    options.workers = static_cast<int>(command.integer("workers"));
    options.start_method = command.word<StartMethod>("start_method");
    options.behaviour = pool::behaviour_of(command.word<pool::Preset>("preset"));
    if (command.word<Terminate>("terminate") == Terminate::sigkill) {
      options.behaviour.terminate = pool::TerminatePolicy::escalate;
      options.behaviour.terminate_grace = milliseconds(0);
    }
    if (command.word<QueueSlots>("queue_slots") == QueueSlots::plenty)
      options.queue_slots = plenty_of_slots;
    if (command.word<SignalReset>("signal_reset") == SignalReset::initializer)
      options.behaviour.reset_signals = true;
    options.code = workers::make_worker_code(set_up);
    options.worker_program = {os::sibling_program("pidleak-worker"), set_up.to_arguments()};
    options.fork_server = {os::sibling_program("pidleak-fork-server"), set_up.to_arguments()};
    options.tracker_program = {os::sibling_program("pidleak-tracker")};
    options.observer = &reporter_;
    if (command.flag("hold_before_count"))
      reporter_.hold_before_count_on(channel_);

    set_sigterm(sigterm);
    pool_ = std::make_unique<pool::ProcessPool>(std::move(options));

    auto helpers = nlohmann::json::array();
    for (const auto &helper : pool_->helpers())
      helpers.push_back({{"role", helper.role}, {"pid", helper.pid}});
    reporter_.say("pool_created", {{"workers", pool_->worker_pids()},
                                   {"helpers", helpers},
                                   {"queue_capacity", pool_->queue_capacity()},
                                   {"objects", named_objects()}});
  }

  /// Its pipes and locks, for those who tell at which point of its execution something happened.
  nlohmann::json named_objects() {
    auto objects = nlohmann::json::array();
    for (const auto &object : pool().objects())
      if (object.semaphore)
        objects.push_back({{"name", object.name},
                           {"semaphore", reinterpret_cast<std::uintptr_t>(object.semaphore)},
                           {"guards", object.guards}});
      else
        objects.push_back({{"name", object.name}, {"fd", object.fd}});
    return objects;
  }

  void submit(const Message &command) {
    auto count = command.integer("count");
    nlohmann::json fields = nlohmann::json::object();
    try {
      for (auto task = command.integer("first_task"); count > 0; ++task, --count)
        futures_.push_back(pool().submit(workers::describe_task(task, channel_)));
    } catch (const pool::BrokenPool &e) {
      fields["refused"] = e.what();
    }
    reporter_.say("submitted", fields);
  }

  void shut_down() {
    reporter_.say("shutdown_called");
    pool().shutdown(true);
    int done = 0, failed = 0, unresolved = 0;
    for (auto &future : futures_) {
      if (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        ++unresolved;
        continue;
      }
      try {
        future.get();
        ++done;
      } catch (const pool::BrokenPool &) {
        ++failed;
      }
    }
    reporter_.say("shutdown_returned", {{"done", done}, {"failed", failed}, {"unresolved", unresolved}});
  }

  Reporter reporter_;
  std::string channel_;
  std::vector<std::future<std::string>> futures_;
  std::unique_ptr<pool::ProcessPool> pool_;
};

} // namespace

int main() {
  Subject subject;
  int status = 0;
  try {
    os::ignore_sigpipe();
    subject.greet();
    Commands commands;
    while (auto line = commands.next())
      if (!subject.obey(Message::parse(*line, "command")))
        break;
  } catch (const std::exception &e) {
    subject.reporter().say("error", {{"message", e.what()}});
    std::fprintf(stderr, "pidleak-subject: %s\n", e.what());
    status = 1;
  }
  // As a service that is killed or crashes would: no destructor tidies up after the pool.
  ::_exit(status);
}

#include "harness/tracing/tracer.hpp"

#include "harness/os/procfs.hpp"
#include "harness/os/seize.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/tracing/calls.hpp"
#include "harness/tracing/registers.hpp"

#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <map>
#include <thread>
#include <utility>

namespace pidleak::tracing {
namespace {

constexpr std::size_t no_step = ~std::size_t{0};
constexpr long follow_all = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;

bool begins_with(const Birth &birth, const Birth &start) {
  return start.size() <= birth.size() && std::equal(start.begin(), start.end(), birth.begin());
}

/// A process may end at any time, and what is asked of its thread then is answered by ESRCH: its end is told soon.
bool try_ptrace(__ptrace_request request, pid_t thread, long data = 0) {
  if (::ptrace(request, thread, nullptr, data) == 0)
    return true;
  if (errno != ESRCH)
    os::throw_errno("ptrace({}, {})", static_cast<int>(request), thread);
  return false;
}

} // namespace

class Tracer::Loop {
public:
  Loop(const os::ProcessRef &subject, Options options) : options_(std::move(options)) {
    if (auto status = os::read_status(subject.pid()); status && status->tracer != 0)
      throw std::runtime_error(fmt::format("the subject (pid {}) is traced already, by process {}: a fault at a point "
                                           "of execution needs it untraced, without gdb, strace or rr",
                                           subject.pid(), status->tracer));
    // Every stop is told by SIGCHLD, which the thread reads: no other may take it.
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &child, &mask_before_);
    signals_ = os::UniqueFd::adopt(::signalfd(-1, &child, SFD_CLOEXEC));
    if (!signals_)
      os::throw_errno("signalfd(SIGCHLD)");
    std::promise<void> seized;
    auto outcome = seized.get_future();
    thread_ = std::thread([this, pid = subject.pid(), &seized] { run(pid, seized); });
    try {
      outcome.get();
    } catch (...) {
      finish();
      throw;
    }
  }
  ~Loop() { finish(); }

  void enter(std::size_t step) { step_ = step; }
  bool is_done() const { return done_; }
  void finish() {
    if (!thread_.joinable())
      return;
    to_end_ = true;
    ::pthread_kill(thread_.native_handle(), SIGCHLD);
    thread_.join();
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    if (injected_ && !injected_->status)
      injected_->status = status_of_victim();
    for (auto &process : processes_)
      recorded_.push_back(std::move(process->record));
  }

  void rethrow_failure() {
    if (failure_)
      std::rethrow_exception(std::exchange(failure_, {}));
  }

  const std::vector<TracedProcess> &recorded() const { return recorded_; }
  const std::optional<Injected> &injected() const { return injected_; }

private:
  struct Process {
    TracedProcess record;
    os::ProcessRef ref;
    bool is_followed = false; // its calls are of interest; else only whom it forks
    int children = 0, threads = 0;
  };

  struct Thread {
    std::shared_ptr<Process> process;
    int number = 1;
    bool is_new = false;        // before its first stop
    bool is_of_interest = true; // else it is let go at its first stop
    std::size_t step = no_step;
    std::map<std::string, int> counts; // of what it has done in that step
    std::optional<Stop> in_call;
    bool is_restarting = false; // the next call is the one that was interrupted, and no other
  };

  // --- the thread ----------------------------------------------------------------------------------------------------

  void run(pid_t subject, std::promise<void> &seized) {
    try {
      seize(subject);
      seized.set_value();
    } catch (...) {
      seized.set_exception(std::current_exception());
      return; // the kernel lets go of what was seized
    }
    try {
      while (!is_letting_go_ || !threads_.empty()) {
        wait_for_stops();
        if (to_end_)
          begin_to_let_go();
        if (!take_all() && is_letting_go_)
          return; // what is still listed has gone with its process
      }
    } catch (...) {
      failure_ = std::current_exception();
      to_end_ = done_ = true;
    }
  }

  /// False where nothing is traced any more.
  bool take_all() {
    int status = 0;
    for (;;) {
      pid_t thread = ::waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG);
      if (thread == 0)
        return true;
      if (thread > 0)
        take(thread, status);
      else if (errno != EINTR)
        return false; // ECHILD
    }
  }

  /// Or to be told to end, which is a SIGCHLD as well.
  void wait_for_stops() const {
    signalfd_siginfo ignored{};
    [[maybe_unused]] auto got = ::read(signals_.get(), &ignored, sizeof ignored);
  }

  void seize(pid_t subject) {
    auto process = add_process(subject, {});
    for (pid_t thread : os::read_threads(subject)) {
      os::seize(thread, follow_all);
      threads_[thread] = {.process = process, .number = ++process->threads};
      try_ptrace(PTRACE_INTERRUPT, thread);
    }
  }

  /// The one process that is followed; nothing: all are.
  const Birth *wanted_birth() const {
    return options_.fault ? &options_.fault->birth : options_.only ? &*options_.only : nullptr;
  }

  std::shared_ptr<Process> add_process(pid_t pid, Birth birth) {
    auto ref = os::ProcessRef::open(pid);
    if (!ref)
      throw std::runtime_error(fmt::format("process {} vanished while it was traced", pid));
    const auto *wanted = wanted_birth();
    bool is_followed = !wanted || *wanted == birth;
    auto process = std::make_shared<Process>(Process{.record = {.pid = pid, .birth = std::move(birth), .stops = {}},
                                                     .ref = std::move(*ref),
                                                     .is_followed = is_followed});
    processes_.push_back(process);
    return process;
  }

  void take(pid_t thread, int status) {
    auto found = threads_.find(thread);
    if (!WIFSTOPPED(status)) {
      if (injected_ && thread == injected_->stop.pid)
        injected_->status = os::WaitStatus::from_raw(status);
      threads_.erase(thread);
      if (failing_ == thread)
        failing_ = 0;
    } else if (found == threads_.end() && is_letting_go_) {
      try_ptrace(PTRACE_DETACH, thread);
    } else if (found == threads_.end()) {
      unclaimed_[thread] = status; // a child that stops before its parent tells of it
    } else {
      take_stop(thread, found->second, status);
    }
  }

  void take_stop(pid_t id, Thread &thread, int status) {
    int signal = WSTOPSIG(status), event = status >> 16;
    bool is_call = signal == (SIGTRAP | 0x80);
    int to_deliver = is_call || event != 0 ? 0 : signal;
    if (is_call)
      take_call(id, thread);
    if (is_letting_go_ && failing_ != id)
      return let_go(id, to_deliver);
    switch (event) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      take_child(id, thread);
      break;
    case PTRACE_EVENT_EXEC:
      take_exec(id, thread);
      break;
    case PTRACE_EVENT_EXIT:
      arrive(id, thread, "exit");
      return let_go(id, 0); // its parent sees its end as ever
    case PTRACE_EVENT_STOP:
      if (!thread.is_of_interest)
        return let_go(id, 0);
      if (std::exchange(thread.is_new, false)) {
        if (thread.number == 1)
          arrive(id, thread, "fork");
      } else if (signal != SIGTRAP) {
        try_ptrace(PTRACE_LISTEN, id); // it was stopped, and stays so
        return;
      } else { // PTRACE_INTERRUPT
        thread.is_restarting = was_interrupted(id);
      }
      break;
    default:
      break;
    }
    resume(id, to_deliver);
  }

  /// In a call that the kernel does again.
  static bool was_interrupted(pid_t id) {
    try {
      return is_done_again(result_in(read_registers(id)));
    } catch (const os::SyscallError &e) {
      if (e.error() != ESRCH)
        throw;
      return false; // killed meanwhile
    }
  }

  /// It was let go before it ended. Nothing: it lives, or the kernel does not tell of a process that was waited for.
  std::optional<os::WaitStatus> status_of_victim() const {
    auto victim = std::find_if(processes_.begin(), processes_.end(),
                               [this](const auto &process) { return process->record.pid == injected_->stop.pid; });
    const auto &ref = (*victim)->ref;
    if (options_.fault->fault.kind == FaultKind::kill)
      os::wait_for_any_exit({ref.pidfd()}, std::chrono::seconds(5));
    return ref.has_exited() ? ref.exit_status() : std::nullopt;
  }

  void resume(pid_t id, int signal) {
    auto found = threads_.find(id);
    if (found == threads_.end())
      return; // let go meanwhile
    try_ptrace(found->second.process->is_followed ? PTRACE_SYSCALL : PTRACE_CONT, id, signal);
  }

  /// Of fork(2) and its kin: a thread, or a process.
  void take_child(pid_t parent, Thread &thread) {
    unsigned long message = 0;
    if (::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &message) != 0)
      return; // both have ended
    auto child = static_cast<pid_t>(message);
    auto process = thread.process;
    bool is_thread = false;
    for (pid_t member : os::read_threads(process->record.pid))
      is_thread = is_thread || member == child;
    if (is_thread) {
      threads_[child] = {.process = process, .number = ++process->threads, .is_new = true};
    } else {
      auto birth = process->record.birth;
      birth.push_back(++process->children);
      const auto *wanted = wanted_birth();
      bool is_of_interest = !wanted || begins_with(*wanted, birth);
      try {
        auto born = add_process(child, birth);
        threads_[child] = {
            .process = born, .number = ++born->threads, .is_new = true, .is_of_interest = is_of_interest};
      } catch (const std::runtime_error &) { // killed at birth
        return;
      }
    }
    if (auto waiting = unclaimed_.extract(child))
      take_stop(child, threads_.at(child), waiting.mapped());
  }

  void take_exec(pid_t id, Thread &thread) {
    auto process = thread.process; // all its other threads have gone, and this one has the first one's number
    std::erase_if(threads_, [&](const auto &entry) { return entry.first != id && entry.second.process == process; });
    has_begun_ = true;
    arrive(id, thread, "exec");
  }

  void take_call(pid_t id, Thread &thread) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) < 0)
      return;
    bool is_restarted = std::exchange(thread.is_restarting, false);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      if (is_restarted &&
          (!thread.in_call || thread.in_call->call == info.entry.nr || info.entry.nr == SYS_restart_syscall))
        return;
      Stop stop{.call = info.entry.nr};
      std::copy(std::begin(info.entry.args), std::end(info.entry.args), stop.arguments.begin());
      name(id, thread, call_name(stop.call), When::entry, stop);
      thread.in_call = stop;
      arrive(thread, std::move(stop));
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread.in_call) {
      if (failing_ != id && is_done_again(info.exit.rval)) {
        thread.is_restarting = true;
        return;
      }
      auto stop = *std::exchange(thread.in_call, {});
      stop.place.occurrence.when = When::exit; // in the step of its entry
      stop.result = info.exit.rval;
      if (failing_ == id) {
        fail_call(id, options_.fault->fault.error);
        injected_->done = true;
        done_ = true;
        failing_ = 0;
        begin_to_let_go();
      } else {
        arrive(thread, std::move(stop));
      }
    }
  }

  void arrive(pid_t id, Thread &thread, const char *event) {
    Stop stop;
    name(id, thread, event, {}, stop);
    arrive(thread, std::move(stop));
  }

  void name(pid_t id, Thread &thread, const std::string &what, std::optional<When> when, Stop &stop) {
    std::size_t step = has_begun_ ? step_.load() : no_step;
    if (std::exchange(thread.step, step) != step)
      thread.counts.clear();
    stop.pid = thread.process->record.pid;
    stop.thread = id;
    stop.place = {.thread = thread.number,
                  .step = step == no_step ? "" : options_.steps.at(step),
                  .occurrence = {.name = what, .number = ++thread.counts[what], .when = when}};
  }

  void arrive(Thread &thread, Stop stop) {
    auto &process = *thread.process;
    if (!process.is_followed || stop.place.step.empty() || is_letting_go_)
      return;
    bool is_the_place = options_.fault && options_.fault->place == stop.place;
    if (options_.fault && !is_the_place)
      return;
    if (stop.place.occurrence.when)
      stop.target = target_of(stop.pid, stop.call, stop.arguments);
    if (options_.look_closer)
      stop.circumstances = options_.look_closer(stop);
    if (is_the_place)
      inject(process, std::move(stop));
    else
      process.record.stops.push_back(std::move(stop));
  }

  void inject(const Process &victim, Stop stop) {
    pid_t id = stop.thread;
    injected_ = Injected{.stop = std::move(stop)};
    switch (options_.fault->fault.kind) {
    case FaultKind::kill:
      injected_->done = victim.ref.send(SIGKILL);
      break;
    case FaultKind::term:
      injected_->done = victim.ref.send(SIGTERM);
      break;
    case FaultKind::oom:
      options_.close_trap(victim.ref);
      injected_->done = true;
      break;
    case FaultKind::errno_:
      skip_call(id);
      failing_ = id; // until its exit
      return;
    }
    done_ = injected_->done;
    begin_to_let_go();
  }

  // --- the end of it -------------------------------------------------------------------------------------------------

  void begin_to_let_go() {
    if (failing_ != 0 || std::exchange(is_letting_go_, true))
      return;
    for (const auto &[id, thread] : threads_)
      try_ptrace(PTRACE_INTERRUPT, id); // one that is held gets another stop, of which it is let go as well
    for (const auto &[id, status] : std::exchange(unclaimed_, {}))
      try_ptrace(PTRACE_DETACH, id);
  }

  void let_go(pid_t id, int signal) {
    try_ptrace(PTRACE_DETACH, id, signal);
    threads_.erase(id);
  }

  Options options_;
  os::UniqueFd signals_;
  sigset_t mask_before_{};
  std::thread thread_;
  std::atomic<std::size_t> step_ = no_step;
  std::atomic<bool> done_ = false, to_end_ = false;

  // Of the thread alone, until it has ended.
  std::vector<std::shared_ptr<Process>> processes_;
  std::map<pid_t, Thread> threads_;
  std::map<pid_t, int> unclaimed_;
  bool has_begun_ = !options_.begins_at_exec;
  pid_t failing_ = 0; // the thread whose call is being made to fail
  bool is_letting_go_ = false;
  std::optional<Injected> injected_;
  std::exception_ptr failure_;
  std::vector<TracedProcess> recorded_;
};

Tracer::Tracer(const os::ProcessRef &subject, Options options)
    : loop_(std::make_unique<Loop>(subject, std::move(options))) {}
Tracer::~Tracer() = default;
void Tracer::enter(std::size_t step) { loop_->enter(step); }
bool Tracer::is_done() const { return loop_->is_done(); }
void Tracer::let_go() {
  loop_->finish();
  loop_->rethrow_failure();
}
const std::vector<TracedProcess> &Tracer::recorded() const { return loop_->recorded(); }
const std::optional<Injected> &Tracer::injected() const { return loop_->injected(); }

} // namespace pidleak::tracing

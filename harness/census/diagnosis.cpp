#include "harness/census/diagnosis.hpp"

#include "harness/os/procfs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>

namespace pidleak::census {
namespace {

using Processes = std::vector<const RemainingProcess *>;

/// Of very many, which are all told of on their own anyway, the first.
std::string joined(std::vector<std::string> words, const char *separator) {
  constexpr std::size_t most = 8;
  auto more = words.size() > most + 1 ? words.size() - most : 0;
  words.resize(words.size() - more);
  if (more > 0)
    words.push_back(fmt::format("{} others", more));
  return fmt::format("{}", fmt::join(words, separator));
}

class Diagnostician {
public:
  Diagnostician(Processes all, const RemainingProcess *owner, const Knowledge &knowledge)
      : all_(std::move(all)), owner_(owner), knowledge_(knowledge) {}

  std::vector<Finding> find(const RemainingProcess &process) const {
    std::vector<Finding> findings;
    if (process.state == ProcessState::zombie)
      return {explain_zombie(process)};
    explain_sigterm(process, findings);
    if (process.state == ProcessState::stopped)
      findings.push_back({Cause::stopped, explain_stop(process)});
    else
      for (const auto &wait : process.waits)
        add(findings, explain_wait(process, wait));
    if (findings.empty())
      findings.push_back({Cause::unknown, "the kernel does not say what it waits for"});
    std::stable_sort(findings.begin(), findings.end(), [](const auto &a, const auto &b) { return a.cause < b.cause; });
    return findings;
  }

private:
  /// Threads that say the same say it once.
  static void add(std::vector<Finding> &findings, Finding finding) {
    if (std::none_of(findings.begin(), findings.end(), [&](const auto &f) { return f.text == finding.text; }))
      findings.push_back(std::move(finding));
  }

  /// For a reader who is told of `self`: of another program its name as well.
  std::string name(pid_t pid, pid_t self) const {
    const auto *process = find_process(pid), *own = find_process(self);
    auto what = owner_ && pid == owner_->pid                   ? std::string("the pool's owner")
                : process && own && process->comm != own->comm ? process->comm
                                                               : "";
    return what.empty() ? fmt::format("pid {}", pid) : fmt::format("pid {} ({})", pid, what);
  }

  std::string names(const std::vector<pid_t> &pids, pid_t self) const {
    std::vector<std::string> words;
    words.reserve(pids.size());
    for (pid_t pid : pids)
      words.push_back(pid == self ? "itself" : name(pid, self));
    return joined(std::move(words), ", ");
  }

  const RemainingProcess *find_process(pid_t pid) const {
    for (const auto *process : all_)
      if (process->pid == pid)
        return process;
    return nullptr;
  }

  Finding explain_zombie(const RemainingProcess &process) const {
    auto end = knowledge_.ends.find(process.pid);
    auto text = end == knowledge_.ends.end() ? "it has ended" : "it has ended: " + end->second;
    if (process.parent == knowledge_.harness)
      return {Cause::not_reaped, text + "; its parent is gone"};
    text += fmt::format(", and its parent, {}, has not waited for it", name(process.parent, process.pid));
    if (const auto *parent = find_process(process.parent); parent && !parent->waits.empty()) {
      bool waits = std::any_of(parent->waits.begin(), parent->waits.end(),
                               [](const auto &wait) { return wait.wait == Wait::for_child; });
      text += waits ? "; that parent waits for another child" : "; no thread of that parent waits for a child";
    }
    return {Cause::not_reaped, text};
  }

  void explain_sigterm(const RemainingProcess &process, std::vector<Finding> &findings) const {
    if (!process.status)
      return;
    const auto &status = *process.status;
    bool pending = os::SignalMask(status.shared_pending.bits() | status.thread_pending.bits()).contains(SIGTERM);
    if (!pending && !knowledge_.sent_sigterm.contains(process.pid))
      return;
    switch (os::action_of(status, SIGTERM)) {
    case os::SignalAction::handler:
      if (process.state != ProcessState::stopped)
        findings.push_back({Cause::sigterm_caught, "a handler caught SIGTERM" + origin_of_handler(process.pid)});
      return;
    case os::SignalAction::ignored:
      findings.push_back({Cause::sigterm_ignored, "SIGTERM was sent, but is ignored"});
      return;
    case os::SignalAction::blocked:
      findings.push_back(
          {Cause::sigterm_blocked, pending ? "SIGTERM is pending, but blocked" : "SIGTERM was sent, but is blocked"});
      return;
    case os::SignalAction::default_:
      return;
    }
  }

  std::string origin_of_handler(pid_t pid) const {
    if (!knowledge_.caught_from_the_start.contains(pid))
      return "";
    return knowledge_.inherit_handlers ? "; it was inherited from the pool's owner, and there before the first task"
                                       : "; it was there before the first task";
  }

  static std::string explain_stop(const RemainingProcess &process) {
    bool traced = std::any_of(process.waits.begin(), process.waits.end(), [](const auto &w) { return w.state == 't'; });
    return traced ? "a tracer has stopped it" : "a signal has stopped it, and no SIGCONT has come since";
  }

  Finding explain_wait(const RemainingProcess &process, const ThreadWait &wait) const {
    if (wait.state == 'R' || wait.syscall == "running")
      return {Cause::runs, "it runs on a CPU"};
    if (wait.state == 'D')
      return {Cause::uninterruptible, fmt::format("it waits in {}, where no signal reaches it", wait.syscall)};
    if (auto task = knowledge_.in_task.find(process.pid); task != knowledge_.in_task.end())
      return {Cause::in_task, fmt::format("it is still in task {}, in {}", task->second, wait.syscall)};
    switch (wait.wait) {
    case Wait::to_read:
      return explain_pipe(process, wait, "reads", "write", &OpenPipe::writes, Cause::pipe_held_open);
    case Wait::to_write:
      return explain_pipe(process, wait, "writes to", "read", &OpenPipe::reads, Cause::pipe_full);
    case Wait::for_lock:
      return explain_lock(process, wait);
    case Wait::for_child:
      return {Cause::waits_for_child,
              fmt::format("it waits for {} to end", wait.object.empty() ? "a child" : wait.object)};
    case Wait::for_signal:
      return {Cause::waits_for_signal, fmt::format("it waits in {} for a signal", wait.syscall)};
    case Wait::for_any_of:
      return {Cause::waits_for_events, explain_events(process, wait)};
    case Wait::with_timer:
      return {Cause::timer, fmt::format("it waits in {}, with a timer{}", wait.syscall, how_often(process))};
    case Wait::for_file_lock:
      return explain_file_lock(process, wait);
    case Wait::to_open:
      return explain_open(wait);
    case Wait::unknown_call:
      break;
    }
    if (wait.syscall.empty() || wait.syscall == "none")
      return {Cause::unknown, "the kernel does not say what it waits for"};
    return {Cause::unknown, fmt::format("it waits in {}", wait.syscall)};
  }

  /// Those whose `list` has one that `fits`.
  template <class List, class Fits>
  std::vector<pid_t> processes_with(const List &list, const Fits &fits) const {
    std::vector<pid_t> found;
    for (const auto *process : all_)
      if (const auto &all = list(*process); std::any_of(all.begin(), all.end(), fits))
        found.push_back(process->pid);
    return found;
  }

  /// Of a process that polls. Whether it still does, one look can't tell.
  static std::string how_often(const RemainingProcess &process) {
    if (!process.attributes || !process.status || process.status->voluntary_switches < 20)
      return "";
    auto a_second = static_cast<double>(process.status->voluntary_switches) * 1e3 / process.attributes->age_ms;
    return a_second < 2 ? "" : fmt::format("; since it started it has waited about {:.0f} times a second", a_second);
  }

  Finding explain_file_lock(const RemainingProcess &process, const ThreadWait &wait) const {
    static const std::vector<std::string> none;
    auto holders = processes_with(
        [](const RemainingProcess &other) -> const auto & { return other.attributes ? other.attributes->locks : none; },
        [&](const std::string &lock) { return lock == wait.object; });
    return {Cause::waits_for_lock,
            fmt::format("it waits in {} for the lock on {}; {}", wait.syscall, path_of_lock(wait.object),
                        holders.empty() ? "no process that remains holds it"
                                        : "it is held by: " + names(holders, process.pid))};
  }

  /// Only a FIFO makes open(2) wait for long: for its other end.
  static Finding explain_open(const ThreadWait &wait) {
    auto what =
        wait.object.empty()                ? ", as for the other end of a FIFO"
        : wait.object.ends_with(gone_path) ? fmt::format(" for another process to open {}: no process can", wait.object)
        : wait.object.starts_with(fifo) ? fmt::format(" for another process to open the other end of {}", wait.object)
                                        : fmt::format(" for {}", wait.object);
    return {Cause::waits_for_peer, fmt::format("it waits in {}{}", wait.syscall, what)};
  }

  std::vector<pid_t> holders_of(const std::string &pipe, bool OpenPipe::*end) const {
    return processes_with(
        [](const RemainingProcess &process) -> const auto & { return process.pipes; },
        [&](const OpenPipe &open) { return open.target == pipe && open.*end; });
  }

  Finding explain_pipe(const RemainingProcess &process, const ThreadWait &wait, const char *does, const char *other_end,
                       bool OpenPipe::*end, Cause cause) const {
    if (!wait.peer.empty()) {
      auto holders = processes_with(
          [](const RemainingProcess &other) -> const auto & { return other.sockets; },
          [&](const std::string &socket) { return socket == wait.peer; });
      if (!holders.empty())
        return {cause, fmt::format("it {} {}, a unix socket whose other end is open in: {}", does, wait.object,
                                   names(holders, process.pid))};
    }
    if (!wait.object.starts_with("pipe:"))
      return {Cause::waits_for_peer, fmt::format("it {} {}", does, wait.object.empty() ? "a descriptor" : wait.object)};
    auto holders = holders_of(wait.object, end);
    if (holders.empty())
      return {Cause::waits_for_peer, fmt::format("it {} {}; its {} end is held outside", does, wait.object, other_end)};
    return {cause, fmt::format("it {} {}; its {} end is open in: {}", does, wait.object, other_end,
                               names(holders, process.pid))};
  }

  static bool waits_for(const RemainingProcess &process, const std::string &lock) {
    return std::any_of(process.waits.begin(), process.waits.end(),
                       [&](const auto &wait) { return wait.object == lock; });
  }

  /// The processes that map the lock, and do not wait for it.
  Processes possible_holders(const std::string &lock) const {
    auto memory = lock.substr(0, lock.find('+'));
    memory.erase(0, std::min(memory.size(), std::string("lock ").size()));
    Processes holders;
    for (const auto *process : all_)
      if (process->kind != Kind::helper && !waits_for(*process, lock) &&
          std::find(process->shared_memory.begin(), process->shared_memory.end(), memory) !=
              process->shared_memory.end())
        holders.push_back(process);
    return holders;
  }

  Finding explain_lock(const RemainingProcess &process, const ThreadWait &wait) const {
    if (wait.object == "private lock")
      return {Cause::waits_for_lock,
              "it waits without a timeout for a private lock: only its own threads can release it"};
    if (wait.object.empty())
      return {Cause::waits_for_lock, "it waits without a timeout for a lock"};
    auto shared = fmt::format("it waits without a timeout for a lock in shared memory ({})", wait.object.substr(5));
    auto holders = possible_holders(wait.object);
    bool all_seen = knowledge_.all_are_known && std::all_of(all_.begin(), all_.end(), [](const auto *other) {
                      return other->memory_seen || other->state == ProcessState::zombie;
                    });
    if (holders.empty() && (wait.held_outside || !all_seen))
      return {Cause::waits_for_lock, shared + "; a process that could not be examined may hold it"};
    if (holders.empty())
      return {Cause::lock_of_the_dead, shared + "; every process that maps it waits too: its holder has exited"};
    std::erase_if(holders, [&](const auto *holder) { return holder == owner_; });
    if (knowledge_.died_with_lock && holders.empty())
      return {Cause::lock_of_the_dead,
              fmt::format("{}; pid {} was killed while it held the lock, and every other worker waits for it", shared,
                          *knowledge_.died_with_lock)};
    std::vector<std::string> doing;
    for (const auto *holder : holders)
      if (holder != &process)
        doing.push_back(fmt::format("{}, which {}", name(holder->pid, process.pid), doing_of(*holder)));
    if (doing.empty())
      return {Cause::waits_for_lock,
              shared + "; apart from the processes that wait for it, only the pool's owner maps that memory"};
    return {Cause::waits_for_lock,
            fmt::format("{}; it may be held by {}", shared, joined(std::move(doing), ", or by "))};
  }

  /// What its first thread does, short.
  static std::string doing_of(const RemainingProcess &process) {
    if (process.waits.empty())
      return spell_state(process.state);
    const auto &wait = process.waits.front();
    if (wait.state == 'R')
      return "runs";
    return fmt::format("waits in {}{}", wait.syscall, wait.object.empty() ? "" : " for " + wait.object);
  }

  static std::string spell_state(ProcessState state) {
    return state == ProcessState::zombie ? "has ended" : state == ProcessState::stopped ? "is stopped" : "is there";
  }

  static std::string explain_events(const RemainingProcess &process, const ThreadWait &wait) {
    std::vector<std::string> pipes;
    for (const auto &pipe : process.pipes)
      if (pipe.reads && std::find(pipes.begin(), pipes.end(), pipe.target) == pipes.end())
        pipes.push_back(pipe.target);
    return fmt::format("it waits in {} without a timeout{}", wait.syscall,
                       pipes.empty() ? "" : fmt::format("; it can read {}", fmt::join(pipes, ", ")));
  }

  Processes all_;
  const RemainingProcess *owner_;
  const Knowledge &knowledge_;
};

} // namespace

void diagnose(std::vector<RemainingProcess> &remaining, RemainingProcess *owner, const Knowledge &knowledge) {
  Processes all;
  for (const auto &process : remaining)
    all.push_back(&process);
  if (owner)
    all.push_back(owner);
  Diagnostician diagnostician(std::move(all), owner, knowledge);
  for (auto &process : remaining)
    process.diagnosis = diagnostician.find(process);
  if (owner)
    owner->diagnosis = diagnostician.find(*owner);
}

} // namespace pidleak::census

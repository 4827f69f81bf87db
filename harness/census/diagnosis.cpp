#include "harness/census/diagnosis.hpp"

#include "harness/census/cures.hpp"
#include "harness/census/holders.hpp"
#include "harness/census/roots.hpp"
#include "harness/os/procfs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace pidleak::census {
namespace {

constexpr const char *not_told = "the kernel does not say what it waits for; `pidleak doctor` tells what refuses it";

constexpr std::size_t most_named = 8;

/// Of very many, which are all told of on their own anyway, the first.
std::string joined(std::vector<std::string> words, const char *separator) {
  auto more = words.size() > most_named + 1 ? words.size() - most_named : 0;
  words.resize(words.size() - more);
  if (more > 0)
    words.push_back(fmt::format("{} others", more));
  return fmt::format("{}", fmt::join(words, separator));
}

/// Very many that have one pipe each wait for all the others.
constexpr std::size_t most_waited_for = 64;

class Diagnostician {
public:
  Diagnostician(Processes all, const RemainingProcess *owner, const Knowledge &knowledge)
      : all_(std::move(all)), holders_(all_), owner_(owner), knowledge_(knowledge) {}

  std::vector<Finding> find(const RemainingProcess &process) const {
    std::vector<Finding> findings;
    if (process.state == ProcessState::zombie)
      return {explain_zombie(process)};
    explain_sigterm(process, findings);
    if (process.state == ProcessState::stopped)
      findings.push_back(explain_stop(process));
    else
      for (const auto &wait : process.waits)
        add(findings, explain_wait(process, wait));
    if (findings.empty())
      findings.push_back({Cause::unknown, not_told});
    for (auto &finding : findings)
      shorten(finding.waits_for, process.pid);
    std::stable_sort(findings.begin(), findings.end(), [](const auto &a, const auto &b) { return a.cause < b.cause; });
    put_idle_threads_last(process, findings);
    cure_orphan(process, findings);
    return findings;
  }

private:
  /// Without itself. Of very many that all have one pipe each keeps those that follow it: so they are a circle still.
  static void shorten(std::vector<pid_t> &pids, pid_t self) {
    if (auto own = std::find(pids.begin(), pids.end(), self); own != pids.end()) {
      std::rotate(pids.begin(), own, pids.end());
      pids.erase(pids.begin());
    }
    pids.resize(std::min(pids.size(), most_waited_for));
  }

  /// Threads that wait for a lock of their process alone tell nothing, where another thread waits for other processes,
  /// or the first one for something else.
  static void put_idle_threads_last(const RemainingProcess &process, std::vector<Finding> &findings) {
    auto waits_for_others = [](const Finding &finding) { return !finding.waits_for.empty(); };
    bool first_waits_for_more = !process.waits.empty() && process.waits.front().wait != Wait::for_lock;
    if (first_waits_for_more || std::any_of(findings.begin(), findings.end(), waits_for_others))
      std::stable_partition(findings.begin(), findings.end(), [&](const Finding &finding) {
        return finding.cause != Cause::waits_for_lock || waits_for_others(finding);
      });
  }

  /// One that would go on by itself, and has lost its parent.
  static void cure_orphan(const RemainingProcess &process, std::vector<Finding> &findings) {
    auto &main = findings.front();
    constexpr std::array goes_on = {Cause::timer, Cause::waits_for_signal, Cause::waits_for_events, Cause::runs};
    if (process.kind == Kind::orphan && main.cure.empty() && main.waits_for.empty() &&
        std::find(goes_on.begin(), goes_on.end(), main.cause) != goes_on.end())
      main.cure = hears_sigterm(process) ? cures::notice_death : cures::notice_death_kill;
  }

  static bool hears_sigterm(const RemainingProcess &process) {
    auto action = process.status ? os::action_of(*process.status, SIGTERM) : os::SignalAction::default_;
    return action == os::SignalAction::default_ || action == os::SignalAction::handler;
  }

  /// Threads that say the same say it once.
  static void add(std::vector<Finding> &findings, Finding finding) {
    if (std::none_of(findings.begin(), findings.end(), [&](const auto &f) { return f.text == finding.text; }))
      findings.push_back(std::move(finding));
  }

  /// For a reader who is told of `self`: of another program its name as well.
  std::string name(pid_t pid, pid_t self) const {
    const auto *process = holders_.find(pid), *own = holders_.find(self);
    auto what = owner_ && pid == owner_->pid                   ? std::string("the pool's owner")
                : process && own && process->comm != own->comm ? process->comm
                                                               : "";
    return what.empty() ? fmt::format("pid {}", pid) : fmt::format("pid {} ({})", pid, what);
  }

  std::string names(const std::vector<pid_t> &pids, pid_t self) const {
    // Very many that have the same in hand say the same, and are told once.
    if (pids.size() > most_named + 1 && std::find(pids.begin(), pids.end(), self) != pids.end())
      return fmt::format("itself, {} others", pids.size() - 1);
    std::vector<std::string> words;
    words.reserve(pids.size());
    for (pid_t pid : pids)
      words.push_back(pid == self ? "itself" : name(pid, self));
    return joined(std::move(words), ", ");
  }

  Finding explain_zombie(const RemainingProcess &process) const {
    auto end = knowledge_.ends.find(process.pid);
    auto text = end == knowledge_.ends.end() ? "it has ended" : "it has ended: " + end->second;
    if (process.parent == knowledge_.harness)
      return {Cause::not_reaped, text + "; its parent is gone"};
    Finding finding{.cause = Cause::not_reaped, .text = "", .cure = cures::reap};
    text += fmt::format(", and its parent, {}, has not waited for it", name(process.parent, process.pid));
    const auto *parent = holders_.find(process.parent);
    if (parent)
      finding.waits_for = {parent->pid};
    if (parent && !parent->waits.empty()) {
      bool waits = std::any_of(parent->waits.begin(), parent->waits.end(),
                               [](const auto &wait) { return wait.wait == Wait::for_child; });
      text += waits ? "; that parent waits for another child" : "; no thread of that parent waits for a child";
    }
    finding.text = std::move(text);
    return finding;
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
        findings.push_back({.cause = Cause::sigterm_caught,
                            .text = "a handler caught SIGTERM" + origin_of_handler(process.pid),
                            .cure = is_inherited_handler(process.pid) ? cures::reset_handlers : ""});
      return;
    case os::SignalAction::ignored:
      findings.push_back(
          {.cause = Cause::sigterm_ignored, .text = "SIGTERM was sent, but is ignored", .cure = cures::reset_ignored});
      return;
    case os::SignalAction::blocked:
      findings.push_back({.cause = Cause::sigterm_blocked,
                          .text = pending ? "SIGTERM is pending, but blocked" : "SIGTERM was sent, but is blocked",
                          .cure = cures::unblock});
      return;
    case os::SignalAction::default_:
      return;
    }
  }

  bool is_inherited_handler(pid_t pid) const {
    return knowledge_.inherit_handlers && knowledge_.caught_from_the_start.contains(pid);
  }

  std::string origin_of_handler(pid_t pid) const {
    if (!knowledge_.caught_from_the_start.contains(pid))
      return "";
    return is_inherited_handler(pid) ? "; it was inherited from the pool's owner, and there before the first task"
                                     : "; it was there before the first task";
  }

  Finding explain_stop(const RemainingProcess &process) const {
    bool traced = std::any_of(process.waits.begin(), process.waits.end(), [](const auto &w) { return w.state == 't'; });
    if (!traced)
      return {Cause::stopped, "a signal has stopped it, and no SIGCONT has come since"};
    auto tracer = process.status ? process.status->tracer : 0;
    return {.cause = Cause::stopped,
            .text = tracer == 0 ? "a tracer has stopped it"
                                : fmt::format("a tracer has stopped it: {}", name(tracer, process.pid)),
            .waits_for = holders_.find(tracer) ? std::vector{tracer} : std::vector<pid_t>()};
  }

  Finding explain_wait(const RemainingProcess &process, const ThreadWait &wait) const {
    if (wait.state == 'R' || wait.syscall == "running")
      return {Cause::runs, "it runs on a CPU"};
    if (wait.state == 'D' && (wait.syscall == "vfork" || wait.syscall.starts_with("clone")))
      return explain_vfork(process, wait);
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
      return explain_wait_for_child(process, wait);
    case Wait::for_signal:
      return explain_wait_for_signal(process, wait);
    case Wait::for_any_of:
      return explain_events(process, wait, Cause::waits_for_events, " without a timeout");
    case Wait::with_timer:
      return explain_events(process, wait, Cause::timer, ", with a timer" + how_often(process));
    case Wait::for_file_lock:
      return explain_file_lock(process, wait);
    case Wait::to_open:
      return explain_open(wait);
    case Wait::unknown_call:
      break;
    }
    if (wait.syscall.empty() || wait.syscall == "none")
      return {Cause::unknown, not_told};
    return {Cause::unknown, fmt::format("it waits in {}", wait.syscall)};
  }

  static std::string how_often(const RemainingProcess &process) {
    auto a_second = process.waits_per_second.value_or(0);
    return a_second < 15 ? "" : fmt::format("; it polls, some {:.0f} times a second", a_second); // fewer show by chance
  }

  Finding explain_file_lock(const RemainingProcess &process, const ThreadWait &wait) const {
    auto holders = holders_.of_file_lock(wait.object);
    bool by_itself = std::find(holders.begin(), holders.end(), process.pid) != holders.end();
    return {.cause = Cause::waits_for_lock,
            .text = fmt::format("it waits in {} for the lock on {}; {}", wait.syscall, path_of_lock(wait.object),
                                holders.empty() ? "no process that remains holds it"
                                                : "it is held by: " + names(holders, process.pid)),
            .waits_for = by_itself ? std::vector<pid_t>() : holders, // whatever the others do
            .cure = by_itself                                                    ? cures::close_own_lock
                    : wait.object.starts_with("flock ") && have_escaped(holders) ? cures::close_lock
                                                                                 : ""};
  }

  /// A daemon that has a lock of flock(2) by inheritance: one of fcntl(2) does not go on to children.
  bool have_escaped(const std::vector<pid_t> &holders) const {
    return std::any_of(holders.begin(), holders.end(), [&](pid_t pid) {
      const auto *holder = holders_.find(pid);
      return holder && holder->kind == Kind::escaped;
    });
  }

  /// Only a FIFO makes open(2) wait for long: for its other end.
  static Finding explain_open(const ThreadWait &wait) {
    auto what =
        wait.object.empty()                ? ", as for the other end of a FIFO"
        : wait.object.ends_with(gone_path) ? fmt::format(" for another process to open {}: no process can", wait.object)
        : wait.object.starts_with(fifo) ? fmt::format(" for another process to open the other end of {}", wait.object)
                                        : fmt::format(" for {}", wait.object);
    return {.cause = Cause::waits_for_peer,
            .text = fmt::format("it waits in {}{}", wait.syscall, what),
            .cure = wait.object.starts_with(fifo) || wait.object.ends_with(gone_path) ? cures::open_with_a_limit : ""};
  }

  /// What to do about an end that stays open, where that is known.
  std::string cure_of_open_end(const RemainingProcess &process, const std::vector<pid_t> &holders,
                               const std::string &pipe = "") const {
    auto is_own = [&](pid_t pid) { return pid == process.pid; };
    bool has_it_itself = std::any_of(holders.begin(), holders.end(), is_own);
    bool of_one_program = std::all_of(holders.begin(), holders.end(), [&](pid_t pid) {
      const auto *holder = holders_.find(pid);
      return holder && holder->command_line == process.command_line;
    });
    bool both_ways = std::any_of(process.pipes.begin(), process.pipes.end(), [&](const OpenPipe &open) {
      return open.target == pipe && open.reads && open.writes;
    });
    if (has_it_itself && holders.size() == 1)
      return both_ways ? cures::open_to_read : cures::close_own_end;
    if (has_it_itself && of_one_program) // no exec has come between
      return cures::close_unused_ends;
    // One that has lost its parent or left its session was not meant to keep a process waiting that has not.
    bool was_left = std::any_of(holders.begin(), holders.end(), [&](pid_t pid) {
      const auto *holder = holders_.find(pid);
      return holder && !is_own(pid) && (holder->kind == Kind::orphan || holder->kind == Kind::escaped);
    });
    return was_left && process.kind != Kind::orphan && process.kind != Kind::escaped ? cures::close_inherited_end : "";
  }

  Finding explain_pipe(const RemainingProcess &process, const ThreadWait &wait, const char *does, const char *other_end,
                       bool OpenPipe::*end, Cause cause) const {
    if (wait.syscall.starts_with("accept"))
      return {Cause::waits_for_peer, fmt::format("it waits in {} for a connection", wait.syscall)};
    Endpoint endpoint{
        .object = wait.object, .peer = wait.peer, .remote = wait.remote, .reads = end == &OpenPipe::writes};
    auto holders = holders_.of(endpoint);
    bool is_pipe = wait.object.starts_with("pipe:");
    if (holders.empty())
      return {Cause::waits_for_peer,
              fmt::format("it {} {}{}", does, wait.object.empty() ? "a descriptor" : described(endpoint),
                          is_pipe ? fmt::format("; its {} end is held outside", other_end) : "")};
    bool is_socket = wait.object.starts_with("socket:");
    if (is_socket && wait.peer.empty())
      return {.cause = cause,
              .text = fmt::format("it {} {}, a connection that is not accepted yet by: {}", does, described(endpoint),
                                  names(holders, process.pid)),
              .waits_for = holders};
    bool has_two_ends = is_pipe || holders_.is_fifo(endpoint);
    auto text = has_two_ends                          ? fmt::format("{}; its {} end is", wait.object, other_end)
                : is_socket                           ? described(endpoint) + ", a socket whose other end is"
                : wait.object.starts_with("/dev/pts") ? wait.object + ", whose master is"
                                                      : wait.object + ", which is";
    bool may_be_inherited = has_two_ends || (is_socket && wait.remote.empty());
    return {.cause = has_two_ends || is_socket ? cause : Cause::waits_for_peer,
            .text = fmt::format("it {} {} open in: {}", does, text, names(holders, process.pid)),
            .waits_for = holders,
            .cure = !may_be_inherited           ? ""
                    : cause == Cause::pipe_full ? cures::drain
                                                : cure_of_open_end(process, holders, wait.object)};
  }

  static std::string described(const Endpoint &endpoint) {
    return endpoint.remote.empty() ? endpoint.object : fmt::format("{} (tcp to {})", endpoint.object, endpoint.remote);
  }

  /// A shell's wait(1) and timeout(1) let SIGCHLD end it.
  Finding explain_wait_for_signal(const RemainingProcess &process, const ThreadWait &wait) const {
    auto children = holders_.living_children(process);
    bool hears_of_children = wait.syscall == "rt_sigsuspend" && process.status &&
                             process.status->caught.contains(SIGCHLD) && !children.empty();
    auto text = fmt::format("it waits in {} for a signal", wait.syscall);
    if (!hears_of_children)
      return {Cause::waits_for_signal, text};
    return {.cause = Cause::waits_for_signal,
            .text = fmt::format("{}, such as that a child has ended: {}", text, names(children, process.pid)),
            .waits_for = children};
  }

  Finding explain_wait_for_child(const RemainingProcess &process, const ThreadWait &wait) const {
    auto children = holders_.living_children(process);
    if (!wait.object.empty())
      std::erase_if(children, [&](pid_t child) { return wait.object != fmt::format("pid {}", child); });
    auto known = names(children, process.pid);
    return {.cause = Cause::waits_for_child,
            .text = wait.object.empty() ? "it waits for a child to end" + (known.empty() ? "" : ": " + known)
                                        : fmt::format("it waits for {} to end", known.empty() ? wait.object : known),
            .waits_for = children};
  }

  /// Until that has executed or ended, the child has its memory.
  Finding explain_vfork(const RemainingProcess &process, const ThreadWait &wait) const {
    auto children = holders_.living_children(process);
    return {.cause = Cause::waits_for_child,
            .text = fmt::format("it waits in {} until a child that has its memory executes or ends{}", wait.syscall,
                                children.empty() ? "" : ": " + names(children, process.pid)),
            .waits_for = children};
  }

  Finding explain_lock(const RemainingProcess &process, const ThreadWait &wait) const {
    if (wait.object == "private lock")
      return {Cause::waits_for_lock,
              "it waits without a timeout for a private lock: only its own threads can release it"};
    if (wait.object.empty())
      return {Cause::waits_for_lock, "it waits without a timeout for a lock"};
    auto shared = fmt::format("it waits without a timeout for a lock in shared memory ({})", wait.object.substr(5));
    auto holders = holders_.of_lock(wait.object);
    bool all_seen = knowledge_.all_are_known && std::all_of(all_.begin(), all_.end(), [](const auto *other) {
                      return other->memory_seen || other->state == ProcessState::zombie;
                    });
    if (holders.empty() && (wait.held_outside || !all_seen))
      return {Cause::waits_for_lock, shared + "; a process that could not be examined may hold it"};
    if (holders.empty())
      return {.cause = Cause::lock_of_the_dead,
              .text = shared + "; every process that maps it waits too: its holder has exited",
              .cure = cures::robust_lock};
    std::erase_if(holders, [&](const auto *holder) { return holder == owner_; });
    if (knowledge_.died_with_lock && holders.empty())
      return {.cause = Cause::lock_of_the_dead,
              .text = fmt::format("{}; pid {} was killed while it held the lock, and every other worker waits for it",
                                  shared, *knowledge_.died_with_lock),
              .cure = cures::robust_lock};
    std::vector<std::string> doing;
    std::vector<pid_t> pids;
    for (const auto *holder : holders)
      if (holder != &process) {
        pids.push_back(holder->pid);
        doing.push_back(fmt::format("{}, which {}", name(holder->pid, process.pid), doing_of(*holder)));
      }
    if (doing.empty())
      return {Cause::waits_for_lock,
              shared + "; apart from the processes that wait for it, only the pool's owner maps that memory"};
    return {.cause = Cause::waits_for_lock,
            .text = fmt::format("{}; it may be held by {}", shared, joined(std::move(doing), ", or by ")),
            .waits_for = pids};
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

  Finding explain_events(const RemainingProcess &process, const ThreadWait &wait, Cause cause,
                         const std::string &how_long) const {
    Finding finding{.cause = cause, .text = ""};
    std::vector<std::string> of_others, own; // its own are wake-ups between its threads, and from signal handlers
    for (const auto &endpoint : wait.polled) {
      auto holders = holders_.of(endpoint);
      auto &awaited = holders == std::vector{process.pid} ? own : of_others;
      auto text = fmt::format("{}{}", described(endpoint), words_on(endpoint, holders, process.pid));
      if (std::find(awaited.begin(), awaited.end(), text) == awaited.end())
        awaited.push_back(std::move(text));
      finding.waits_for.insert(finding.waits_for.end(), holders.begin(), holders.end());
      bool has_an_end = endpoint.object.starts_with("pipe:") || (!endpoint.peer.empty() && endpoint.remote.empty());
      if (endpoint.reads && has_an_end && &awaited == &of_others)
        finding.cure = cure_of_open_end(process, holders);
    }
    std::sort(finding.waits_for.begin(), finding.waits_for.end());
    finding.waits_for.erase(std::unique(finding.waits_for.begin(), finding.waits_for.end()), finding.waits_for.end());
    auto &awaited = of_others.empty() ? own : of_others;
    const auto *before = awaited.empty() ? "" : awaited.size() == 1 ? ", for " : ", for any of: ";
    finding.text = fmt::format("it waits in {}{}{}{}", wait.syscall, how_long, before, joined(awaited, "; "));
    return finding;
  }

  std::string words_on(const Endpoint &endpoint, const std::vector<pid_t> &holders, pid_t self) const {
    if (endpoint.object.starts_with("pid "))
      return " to end";
    bool is_pipe = endpoint.object.starts_with("pipe:");
    if (holders.empty())
      return is_pipe ? ", whose other end is held outside" : "";
    if (endpoint.peer.empty() && !endpoint.remote.empty())
      return ", a connection that is not accepted yet by: " + names(holders, self);
    return fmt::format("{} is open in: {}",
                       !endpoint.peer.empty() ? ", whose other end"
                       : is_pipe              ? fmt::format(", whose {} end", endpoint.reads ? "write" : "read")
                                              : ", which",
                       names(holders, self));
  }

  const Processes all_;
  const Holders holders_;
  const RemainingProcess *owner_;
  const Knowledge &knowledge_;
};

/// What only waits for a process that waits itself needs no cure of its own. Of a circle none is known, but for those
/// that have taken their file locks in different orders.
void correct_cures(std::vector<RemainingProcess> &remaining) {
  std::set<pid_t> waiting;
  for (const auto &process : remaining)
    if (!process.is_root)
      waiting.insert(process.pid);
  auto all_wait = [&](const Finding &finding) {
    return std::all_of(finding.waits_for.begin(), finding.waits_for.end(),
                       [&](pid_t pid) { return waiting.contains(pid); });
  };
  for (auto &process : remaining)
    for (auto &finding : process.diagnosis) {
      bool for_file_lock = std::any_of(process.waits.begin(), process.waits.end(),
                                       [](const auto &wait) { return wait.wait == Wait::for_file_lock; });
      if (finding.waits_for.empty())
        continue;
      if (process.is_root && finding.cause == Cause::waits_for_lock && for_file_lock)
        finding.cure = cures::order_locks;
      else if (all_wait(finding) || (process.is_root && finding.cure == cures::close_inherited_end))
        finding.cure.clear();
    }
}

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
  find_roots(remaining);
  correct_cures(remaining);
}

} // namespace pidleak::census

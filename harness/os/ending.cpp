#include "harness/os/ending.hpp"

#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <optional>

namespace pidleak::os {
namespace {

constexpr int most_refusals = 3; // of a signal: another user's process refuses it each time, a passing shortage once

/// One that blocks it may take it by signalfd(2) or sigwait(3). To the init of a PID namespace its default does
/// nothing.
bool ignores_sigterm(pid_t pid) {
  auto status = read_status(pid);
  if (!status)
    return false;
  bool is_init = status->namespace_pids.size() > 1 && status->namespace_pids.back() == 1;
  return status->ignored.contains(SIGTERM) ||
         (is_init && !status->caught.contains(SIGTERM) && !status->blocked.contains(SIGTERM));
}

/// Children that were sent a signal, SIGTERM or SIGKILL, and have not ended yet. Their numbers are theirs until this
/// process reaps them, so that a pidfd of one is of the right one; and what is below those that are spared.
class Signalled {
public:
  Signalled(int signal, const std::set<pid_t> &spared) : signal_(signal), spared_(spared) {}

  /// True if there were any that it was not sent to yet. The newest first: of a chain of forks, it is the one that goes
  /// on.
  bool signal_new_ones() {
    std::erase_if(held_, [](const auto &entry) { return has_ended(entry.second); });
    of_others_.clear();
    left_.clear();
    bool met = signal(read_children(::getpid()));
    for (pid_t pid : spared_)
      if (signal_below(pid))
        met = true;
    return met;
  }

  /// What is below those that were asked and are still there: what supervises others has had its turn by now. True if
  /// there was any that was not asked.
  bool ask_below() {
    bool met = false;
    for (std::size_t i = 0; i < left_.size(); ++i) // it grows by those that are found
      met = signal_below(left_[i]) || met;
    return met;
  }

  /// None that was met last time is left, but those of other users.
  bool empty() const { return held_.empty() && left_.empty(); }
  const std::set<pid_t> &of_others() const { return of_others_; }
  const std::set<pid_t> &sent() const { return sent_; }
  bool is_left(pid_t pid) const { return held_.contains(pid); }
  /// Makes room: what is held is met again.
  void let_go() { held_.clear(); }

  /// SIGTERM does nothing to those that are left.
  bool are_deaf() const {
    try {
      return std::all_of(left_.begin(), left_.end(), ignores_sigterm);
    } catch (const std::exception &) {
      return false;
    }
  }

  void wait_for_any(std::chrono::microseconds at_most) const {
    std::vector<int> pidfds;
    for (const auto &[pid, pidfd] : held_)
      pidfds.push_back(pidfd.get());
    wait_for_any_exit(pidfds, at_most);
  }

private:
  // Descriptors are few: the others' turn comes when these are reaped. Those that are asked may stay, and must not keep
  // the others from being asked: a few are held, to be waited for.
  std::size_t most_held() const { return signal_ == SIGTERM ? 2 : 256; }

  static bool has_ended(const UniqueFd &pidfd) {
    pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, 0) == 1;
  }

  static UniqueFd open_pidfd(pid_t pid) { return UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

  bool has_room() const { return signal_ == SIGTERM || held_.size() < most_held(); }

  /// It was asked, and is there.
  bool is_asked(pid_t pid) {
    bool is = signal_ == SIGTERM && sent_.contains(pid);
    if (is)
      left_.push_back(pid);
    return is;
  }

  bool signal(const std::vector<pid_t> &children) {
    bool met = false;
    for (auto pid = children.rbegin(); pid != children.rend(); ++pid) {
      if (spared_.contains(*pid) || is_asked(*pid) || held_.contains(*pid) || !has_room())
        continue;
      auto child = open_pidfd(*pid);
      if (!child && (errno == EMFILE || errno == ENFILE) && !held_.empty()) {
        if (signal_ == SIGKILL)
          break;       // their turn comes when these are reaped
        held_.clear(); // to ask needs no hold
        child = open_pidfd(*pid);
      }
      if (!child && errno != ESRCH)
        throw_errno("pidfd_open({})", *pid);
      // The list may be of another PID namespace, or the child may have been another's.
      if (child && is_child(child.get()) == std::optional(true))
        met = signal(*pid, std::move(child)) || met;
    }
    return met;
  }

  bool signal(pid_t pid, UniqueFd process) {
    if (has_ended(process))
      return false;
    if (::syscall(SYS_pidfd_send_signal, process.get(), signal_, nullptr, 0) != 0) {
      if (errno == EPERM)
        of_others_.insert(pid);
      return false;
    }
    sent_.insert(pid);
    if (signal_ == SIGTERM && is_stopped(pid))
      ::syscall(SYS_pidfd_send_signal, process.get(), SIGCONT, nullptr, 0);
    if (!has_ended(process) && held_.size() < most_held())
      held_.emplace(pid, std::move(process));
    return true;
  }

  /// The children of one that is spared, and of those below it that are.
  bool signal_below(pid_t spared) {
    bool met = false;
    for (pid_t pid : read_children(spared)) {
      if (spared_.contains(pid) || is_asked(pid) || held_.contains(pid) || !has_room())
        continue;
      auto process = ProcessRef::open(pid);
      if (process && !process->has_exited() && is_descendant(*process))
        met = signal(pid, process->release_pidfd()) || met;
    }
    return met;
  }

  int signal_;
  const std::set<pid_t> &spared_;
  std::map<pid_t, UniqueFd> held_;
  std::set<pid_t> sent_;
  std::vector<pid_t> left_;   // of those that were asked, when they were last met
  std::set<pid_t> of_others_; // that were met last time
};

/// SIGTERM to all, and in the second half of the time to what is below those that are still there.
struct Asking {
  Deadline half;
  const std::function<bool()> &is_cut_short;
};

/// Until none is left that may not stay (true), or the deadline has passed, or it is no use (false).
bool end_by(Signalled &signalled, std::optional<Asking> asking, Deadline deadline, bool some_are_spared) {
  int refusals = 0; // one after the other
  for (Backoff backoff;;) {
    try {
      if (reap_exited_children())
        return true;
      bool met = signalled.signal_new_ones();
      bool none_is_left = !met && signalled.empty();
      if (none_is_left && signalled.of_others().empty() && some_are_spared)
        return true;
      refusals = none_is_left && !signalled.of_others().empty() ? refusals + 1 : 0;
      if (refusals == most_refusals) // to wait for these is to wait for ever
        return false;
      if (deadline.passed() || (asking && asking->is_cut_short && asking->is_cut_short()))
        return false;
      bool are_deaf = asking && !met && !signalled.empty() && signalled.are_deaf();
      if (asking && (are_deaf || asking->half.passed()) && signalled.ask_below())
        continue;
      if (are_deaf && signalled.are_deaf()) // those below them as well
        return false;
      if (!met) // else no time may be lost: a chain of forks ends only so
        signalled.wait_for_any(backoff.next());
    } catch (const std::exception &) { // what is short now (descriptors, memory) may come back, by this loop as well
      if (deadline.passed())
        return false;
      signalled.let_go();
      ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<milliseconds>(backoff.next()).count()));
    }
  }
}

} // namespace

Ending end_all_children(Deadline deadline, const std::set<pid_t> &spared, milliseconds ask_first,
                        const std::function<bool()> &cut_short) {
  Signalled asked(SIGTERM, spared), killed(SIGKILL, spared);
  Ending ending{.asked = ask_first > milliseconds(0)};
  Asking asking{.half = Deadline::after(ask_first / 2), .is_cut_short = cut_short};
  auto asked_until = Deadline::after(ask_first).sooner_of(deadline);
  ending.all_ended = (ending.asked && end_by(asked, asking, asked_until, !spared.empty())) ||
                     end_by(killed, {}, deadline, !spared.empty());
  ending.of_others = {killed.of_others().begin(), killed.of_others().end()};
  for (pid_t pid : asked.sent())
    if (!killed.sent().contains(pid) && !killed.of_others().contains(pid))
      ending.by_sigterm.push_back(pid);
  for (pid_t pid : killed.sent())
    if (ending.all_ended || !killed.is_left(pid))
      ending.by_sigkill.push_back(pid);
  return ending;
}

} // namespace pidleak::os

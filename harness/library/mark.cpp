#include "harness/library/mark.hpp"

#include "harness/census/leaving.hpp"
#include "harness/library/fork_log.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"

#include <algorithm>
#include <csignal>
#include <mutex>

namespace pidleak::library {
namespace {

constexpr milliseconds census_bound{500};
constexpr std::size_t most_dying = 256; // descriptors are few

/// What was held outside when the first mark of this process was made: what is opened from then on is its own. In a
/// forked child all that its parent has opened is held outside.
census::Boundary boundary() {
  static std::mutex mutex;
  static pid_t of = 0;
  static census::Boundary known;
  std::lock_guard lock(mutex);
  if (of != ::getpid()) {
    known = census::inherited();
    of = ::getpid();
  }
  return known;
}

/// Before anything is entered: a kernel that can't tell of children has no use for marks.
std::string &&fit_for_marks(std::string &&name) {
  if (auto why = os::why_blind(); !why.empty())
    throw os::SyscallError(ENOTSUP, "pidleak: " + why);
  keep_fork_log();
  return std::move(name);
}

bool is_in(const std::vector<os::ProcessRef> &held, const census::Member &process) {
  return std::any_of(held.begin(), held.end(), [&](const auto &other) { return other.pid() == process.pid; });
}

/// Holds it if it is this process's to end.
std::optional<os::ProcessRef> hold(const census::Member &process) {
  auto held = os::ProcessRef::open(process.pid);
  if (!held || held->start_ticks() != process.start_ticks)
    return {};
  bool is_ours = os::is_child(held->pidfd()) == std::optional(true) || os::is_descendant(*held);
  return is_ours ? std::move(held) : std::nullopt;
}

/// Reaps it where it is, or has become, a child of this process.
bool is_gone(const os::ProcessRef &process) {
  reap_if_child(process);
  return !process.send(0);
}

} // namespace

Adoption::Adoption() { Registry::of_this_process().begin_adopting(); }
Adoption::~Adoption() {
  if (pid_ == ::getpid())
    Registry::of_this_process().cease_adopting();
}

Mark::Mark(std::string name, std::shared_ptr<const Settings> settings)
    : name_(fit_for_marks(std::move(name))), settings_(std::move(settings)), boundary_(boundary()),
      entered_(name_, settings_->adopt_orphans), suspects_(entered_.entry(), settings_->strict, settings_->helpers) {}

void Mark::keep() { Registry::of_this_process().keep(entered_.entry(), suspects_.look().members()); }

void Mark::keep(pid_t pid) {
  if (auto process = census::read_member(pid))
    Registry::of_this_process().keep(entered_.entry(), {*process});
}

Findings Mark::check() {
  Registry::of_this_process().note_check(entered_.entry());
  return findings_of(settle(), name_, *settings_, boundary_);
}

bool Mark::end_remaining(milliseconds ask_first) {
  auto asking = Deadline::after(ask_first), deadline = Deadline::after(ask_first + os::end_bound);
  std::vector<os::ProcessRef> asked, dying; // to be reaped, whatever they look like once they have ended
  for (Backoff backoff;;) {
    auto look = suspects_.look();
    auto remaining = doomed(look);
    for (auto *those : {&asked, &dying})
      std::erase_if(*those,
                    [&](const auto &process) { return settings_->reap ? is_gone(process) : process.has_exited(); });
    if (remaining.empty() && asked.empty() && dying.empty() && look.complete)
      return true;
    if (deadline.passed())
      return false;
    bool asks = !asking.passed();
    auto &those = asks ? asked : dying;
    for (const auto &process : remaining)
      if (those.size() < most_dying && !is_in(those, process))
        if (auto held = hold(process); held && held->deliver(asks ? SIGTERM : SIGKILL) != os::Delivery::forbidden) {
          if (asks)
            held->deliver(SIGCONT);          // what is stopped takes no signal before
          those.push_back(std::move(*held)); // another user's can't be ended
        }
    auto left = asks ? asking.left() : deadline.left();
    os::wait_for_any_exit(census::Leaving(remaining).exits(),
                          std::min(backoff.next(), std::chrono::ceil<std::chrono::microseconds>(left)));
  }
}

std::vector<census::Member> Mark::doomed(const Look &look) const {
  auto mine = look;
  std::erase_if(mine.suspects, [](const Suspect &suspect) { return suspect.claim.another_exists; });
  auto counting = those_that_count(mine, *settings_, boundary_);
  if (!settings_->reap)
    std::erase_if(counting, [](const auto &process) { return process.state == census::ProcessState::zombie; });
  return counting;
}

Checked Mark::settle() {
  auto since = Clock::now();
  auto deadline = Deadline::after(settings_->grace), last = Deadline::after(settings_->grace + census_bound);
  Look look;
  std::vector<census::Member> counting;
  auto boundary = boundary_;
  auto settled = census::settle({.see =
                                     [&] {
                                       look = suspects_.look();
                                       auto sight = sight_of(look);
                                       counting = sight.to_leave;
                                       return sight;
                                     },
                                 .rest =
                                     [&](const auto &walk) {
                                       auto rest = census::at_rest(walk.members, {.root = ::getpid()}, boundary);
                                       if (!rest.held_outside.empty())
                                         boundary.outside.insert(rest.held_outside);
                                       return rest;
                                     },
                                 .wait =
                                     [](auto at_most, const auto &exits) {
                                       os::wait_for_any_exit(exits, at_most);
                                       return false;
                                     },
                                 .done = [&] { return look.complete; },
                                 // A while longer for the census to become complete.
                                 .is_over = [&] { return deadline.passed() && (look.complete || last.passed()); }});
  return {.look = std::move(look),
          .counting = std::move(counting),
          .started = started_,
          .how = std::move(settled),
          .since = since};
}

/// Another thread of this process could still do what is waited for: write to a pipe, or wait for a child.
census::Sight Mark::sight_of(const Look &look) const {
  census::Sight sight{.walk = {.members = look.family.members, .complete = look.complete, .hidden = look.family.hidden},
                      .to_leave = those_that_count(look, *settings_, boundary_)};
  if (look.family.threads != 1)
    sight.no_rest = "this process has other threads";
  return sight;
}

} // namespace pidleak::library

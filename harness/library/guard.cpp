// What a guard does when it is asked: settle, census, diagnosis, findings.
#include "pidleak/guard.hpp"

#include "harness/census/leaving.hpp"
#include "harness/census/settle.hpp"
#include "harness/library/findings.hpp"
#include "harness/library/fork_log.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <mutex>

namespace pidleak {

using library::Registry;
using reports::SettledBy;

namespace {

constexpr milliseconds census_bound{500};
constexpr std::size_t most_held = 256; // descriptors are few

/// What was held outside when the first guard of this process was made: what is opened from then on is its own. In a
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

} // namespace

class Guard::Impl {
  /// Takes part in the registry for as long as it is there.
  class Entered {
  public:
    explicit Entered(const GuardOptions &options)
        : entry_(Registry::of_this_process().enter(options.name, options.adopt_orphans)) {}
    Entered(const Entered &) = delete;
    Entered &operator=(const Entered &) = delete;
    ~Entered() {
      if (pid_ == ::getpid())
        Registry::of_this_process().leave(entry_);
    }
    pid_t pid() const { return pid_; }
    library::Entry *entry() const { return entry_; }

  private:
    pid_t pid_ = ::getpid();
    library::Entry *entry_;
  };

public:
  explicit Impl(GuardOptions options)
      : options_(std::move(options)), rules_(library::read_rules(options_.suppressions)), entered_(options_),
        suspects_(entered_.entry(), options_.strict) {}

  bool is_of_this_process() const { return entered_.pid() == ::getpid(); }

  Findings check() {
    Registry::of_this_process().note_check(entered_.entry());
    return library::findings_of(settle(), options_, rules_, boundary_);
  }

  bool end_remaining() {
    auto deadline = Deadline::after(os::end_bound);
    std::vector<os::ProcessRef> dying; // to be reaped, whatever they look like once they have ended
    for (Backoff backoff;;) {
      auto look = suspects_.look();
      auto doomed = library::those_to_end(look, rules_, boundary_);
      std::erase_if(dying, is_gone);
      if (doomed.empty() && dying.empty() && look.complete)
        return true;
      if (deadline.passed())
        return false;
      for (const auto &process : doomed)
        if (dying.size() < most_held &&
            std::none_of(dying.begin(), dying.end(), [&](const auto &other) { return other.pid() == process.pid; }))
          end(process, dying);
      os::wait_for_any_exit(census::Leaving(doomed).exits(),
                            std::min(backoff.next(), std::chrono::ceil<std::chrono::microseconds>(deadline.left())));
    }
  }

private:
  library::Checked settle() {
    auto since = Clock::now();
    auto deadline = Deadline::after(options_.grace), last = Deadline::after(options_.grace + census_bound);
    library::Look look;
    auto boundary = boundary_;
    auto settled = census::settle({.see =
                                       [&] {
                                         look = suspects_.look();
                                         return sight_of(look);
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
    return {.look = std::move(look), .started = started_, .how = std::move(settled), .since = since};
  }

  /// Another thread of this process could still do what is waited for: write to a pipe, or wait for a child.
  static census::Sight sight_of(const library::Look &look) {
    census::Sight sight{
        .walk = {.members = look.family.members, .complete = look.complete, .hidden = look.family.hidden},
        .to_leave = library::those_that_count(look)};
    if (look.family.threads != 1)
      sight.no_rest = "this process has other threads";
    return sight;
  }

  static void end(const census::Member &process, std::vector<os::ProcessRef> &dying) {
    auto held = os::ProcessRef::open(process.pid);
    if (!held || held->start_ticks() != process.start_ticks)
      return;
    bool is_ours = os::is_child(held->pidfd()) == std::optional(true) || os::is_descendant(*held);
    if (is_ours && held->deliver(SIGKILL) != os::Delivery::forbidden) // another user's can't be ended
      dying.push_back(std::move(*held));
  }

  /// Reaps it where it is, or has become, a child of this process.
  static bool is_gone(const os::ProcessRef &process) {
    library::reap_if_child(process);
    return !process.send(0);
  }

  const GuardOptions options_;
  const std::vector<reports::SuppressionRule> rules_;
  const census::Boundary boundary_ = boundary();
  const std::time_t started_ = std::time(nullptr);
  const Entered entered_;
  library::Suspects suspects_;
};

Guard::Guard(GuardOptions options) {
  if (auto why = os::why_blind(); !why.empty())
    throw os::SyscallError(ENOTSUP, "pidleak::Guard: " + why);
  library::keep_fork_log();
  impl_ = std::make_unique<Impl>(std::move(options));
}
Guard::Guard(Guard &&) noexcept = default;
Guard &Guard::operator=(Guard &&) noexcept = default;
Guard::~Guard() = default;

bool Guard::is_of_this_process() const noexcept { return impl_ && impl_->is_of_this_process(); }

namespace {

void refuse_unless(bool is_of_this_process) {
  if (!is_of_this_process)
    throw std::logic_error("pidleak::Guard: it was made in the process that this one was forked from, or moved from");
}

} // namespace

Findings Guard::check() {
  refuse_unless(is_of_this_process());
  return impl_->check();
}

bool Guard::end_remaining() {
  refuse_unless(is_of_this_process());
  return impl_->end_remaining();
}

} // namespace pidleak

// What a guard does when it is asked: settle, census, diagnosis, findings.
#include "pidleak/guard.hpp"

#include "harness/census/leaving.hpp"
#include "harness/census/quiescence.hpp"
#include "harness/library/findings.hpp"
#include "harness/library/fork_log.hpp"
#include "harness/os/syscall_error.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

namespace pidleak {

using library::Registry;
using reports::SettledBy;

namespace {

constexpr std::chrono::seconds end_bound{5};
constexpr milliseconds census_bound{500};
constexpr std::size_t most_held = 256; // descriptors are few

/// Throws SyscallError where this process's children can't be listed.
void check_proc() {
  constexpr auto needed = "pidleak::Guard needs the /proc of its own PID namespace, with CONFIG_PROC_CHILDREN";
  std::error_code error;
  if (std::filesystem::read_symlink("/proc/self", error) != std::to_string(::getpid()))
    throw os::SyscallError(error ? error.value() : ESRCH, fmt::format("{}: readlink(/proc/self)", needed));
  auto children = fmt::format("/proc/self/task/{}/children", ::gettid());
  if (::access(children.c_str(), R_OK) != 0)
    os::throw_errno("{}: {}", needed, children);
}

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

} // namespace

class Guard::Impl {
public:
  explicit Impl(GuardOptions options)
      : options_(std::move(options)), rules_(library::read_rules(options_.suppressions)), entered_(options_),
        suspects_(entered_.entry(), options_.strict) {}

  bool is_of_this_process() const { return entered_.pid() == ::getpid(); }

  Findings check() {
    Registry::of_this_process().note_check(entered_.entry());
    auto settled = settle(Deadline::after(options_.grace), Deadline::after(options_.grace + census_bound));
    return library::findings_of(settled, options_, rules_);
  }

  bool end_remaining() {
    auto deadline = Deadline::after(end_bound);
    std::vector<os::ProcessRef> dying; // to be reaped, whatever they look like once they have ended
    for (Backoff backoff;;) {
      auto look = suspects_.look();
      auto doomed = library::those_to_end(look, rules_);
      std::erase_if(dying, is_gone);
      if (doomed.empty() && dying.empty() && look.complete)
        return true;
      if (deadline.passed())
        return false;
      for (const auto &process : doomed)
        if (dying.size() < most_held &&
            std::none_of(dying.begin(), dying.end(), [&](const auto &other) { return other.pid() == process.pid; }))
          end(process, dying);
      os::wait_for_any_exit(census::Leaving(doomed).exits(), std::min(backoff.next(), left(deadline)));
    }
  }

private:
  /// `last`: for the census to become complete.
  library::Settled settle(Deadline deadline, Deadline last) {
    auto since = Clock::now();
    Backoff backoff(std::chrono::microseconds(500));
    for (;;) {
      library::Settled settled{.look = suspects_.look(), .started = started_};
      auto leaving = library::those_that_count(settled.look);
      if (settled.look.complete && leaving.empty())
        settled.by = SettledBy::all_gone;
      else if (is_at_rest(settled))
        settled.by = SettledBy::quiescence;
      else if (!deadline.passed() || (!settled.look.complete && !last.passed())) {
        os::wait_for_any_exit(census::Leaving(leaving).exits(), std::min(backoff.next(), left(last)));
        continue;
      }
      settled.ms = milliseconds_between(since, Clock::now());
      return settled;
    }
  }

  /// Another thread of this process could still do what is waited for: write to a pipe, or wait for a child.
  static bool is_at_rest(library::Settled &settled) {
    const auto &look = settled.look;
    settled.why_not_quiescent =
        !look.complete ? "the census does not see everything" : "this process has other threads";
    if (!look.complete || look.family.threads != 1)
      return false;
    auto rest = census::at_rest(look.family.members, {.root = ::getpid()}, "");
    settled.why_not_quiescent = rest.why_not;
    return rest.certain;
  }

  static std::chrono::microseconds left(Deadline deadline) { return milliseconds(deadline.left_ms()); }

  static void end(const census::Member &process, std::vector<os::ProcessRef> &dying) {
    auto held = os::ProcessRef::open(process.pid);
    if (!held || held->start_ticks() != process.start_ticks)
      return;
    try {
      held->send(SIGKILL);
      dying.push_back(std::move(*held));
    } catch (const os::SyscallError &e) {
      if (e.error() != EPERM) // it has another user
        throw;
    }
  }

  /// Reaps it where it is, or has become, a child of this process.
  static bool is_gone(const os::ProcessRef &process) {
    library::reap_if_child(process);
    return !process.send(0);
  }

  const GuardOptions options_;
  const std::vector<reports::SuppressionRule> rules_;
  const std::time_t started_ = std::time(nullptr);
  const Entered entered_;
  library::Suspects suspects_;
};

Guard::Guard(GuardOptions options) {
  check_proc();
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

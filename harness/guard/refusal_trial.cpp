#include "harness/guard/refusal_trial.hpp"

#include "harness/os/ending.hpp"
#include "harness/os/test_support.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

namespace pidleak::testing {
namespace {

constexpr int status_of_clean = 3, status_of_leak = 23;

class Stranger {
public:
  Stranger()
      : process_(plant([] {
          os::die_with_parent();
          sigset_t all;
          ::sigfillset(&all);
          ::sigprocmask(SIG_SETMASK, &all, nullptr); // what it is sent stays to be seen
        })) {}
  pid_t pid() const { return process_.pid(); }
  bool was_signalled() const {
    auto status = os::read_status(process_.pid());
    return process_.has_exited() || !status || !is_empty(status->thread_pending) || !is_empty(status->shared_pending);
  }

private:
  static bool is_empty(const os::SignalMask &mask) { return mask.hex() == os::SignalMask().hex(); }
  os::ProcessRef process_;
};

/// A file in memory: guard's output needs no reader.
class Output {
public:
  Output() : file_(os::UniqueFd::adopt(::memfd_create("output", MFD_CLOEXEC))) {}
  int fd() const { return file_.get(); }
  std::string text() const {
    std::string text(16384, '\0');
    ssize_t got = ::pread(file_.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

private:
  os::UniqueFd file_;
};

/// Whether all but the stranger go soon: what has got its SIGKILL, from guard or with guard's end, may still be on its
/// way.
bool all_go_but(pid_t stranger) {
  auto deadline = Deadline::after(milliseconds(3000));
  for (Backoff backoff; !deadline.passed(); os::wait_for_any_exit({}, backoff.next())) {
    os::reap_exited_children();
    if (os::read_children(::getpid()) == std::vector{stranger})
      return true;
  }
  return false;
}

Guarding command_of(Guarding guarding) {
  if (!guarding.instead.empty())
    return guarding;
  auto &line = guarding.instead;
  line = {PIDLEAK_BINARY_DIR "/pidleak", "guard"};
  line.insert(line.end(), guarding.options.begin(), guarding.options.end());
  line.insert(line.end(), {"--", "/bin/sh", "-c", guarding.leaks ? "sleep 600 >/dev/null 2>&1 & exit 0" : "exit 3"});
  return guarding;
}

bool is_writing(long call) { return call == SYS_write || call == SYS_writev; }

Came judge(const Guarding &guarding, const Refusal &refusal, const Seen &seen, const std::string &said) {
  auto status = *seen.status;
  // glibc takes an errno of brk(2) for an address, and faults; and after a refused exit_group(2) as well.
  bool must_say = !is_writing(refusal.call) && !seen.refused_before_main && refusal.call != SYS_brk &&
                  refusal.call != SYS_exit_group;
  bool told = said.find("outlived") != said.npos;
  if (!status.signaled && guarding.leaks && status.value == status_of_leak)
    return told || !must_say ? Came::right : Came::said_nothing;
  if (!status.signaled && !guarding.leaks && status.value == status_of_clean)
    return told ? Came::false_alarm : Came::right;
  if (!status.signaled && status.value == 0)
    return guarding.leaks ? Came::clean_although_left : Came::wrong_status;
  if (!status.signaled && (status.value == status_of_leak || status.value == status_of_clean))
    return Came::wrong_status;
  return said.empty() && must_say ? Came::said_nothing : Came::refused;
}

} // namespace

std::string_view word_of(Came came) {
  constexpr std::string_view words[] = {"right",
                                        "refused",
                                        "not reached",
                                        "clean although something is left",
                                        "stranger signalled",
                                        "left running",
                                        "hung",
                                        "wrong status",
                                        "said nothing",
                                        "false alarm"};
  return words[static_cast<std::size_t>(came)];
}

Trial try_guard(const Guarding &guarding, const Refusal &refusal, milliseconds bound) {
  Stranger stranger;
  Output output;
  auto whole = command_of(guarding);
  Trial trial;
  trial.seen =
      run_refused({.program = whole.instead, .child = whole.child, .programs = whole.programs, .output = output.fd()},
                  refusal, Deadline::after(bound));
  bool all_went = trial.seen.status && all_go_but(stranger.pid());
  trial.said = (trial.seen.status ? trial.seen.status->text() : "hung") + ": " + output.text();
  trial.came = stranger.was_signalled()                       ? Came::stranger_signalled
               : !trial.seen.status                           ? Came::hung
               : !all_went                                    ? Came::left_running
               : refusal.call >= 0 && trial.seen.refused == 0 ? Came::not_reached
                                                              : judge(guarding, refusal, trial.seen, output.text());
  os::end_all_children(Deadline::after(std::chrono::seconds(5)));
  return trial;
}

} // namespace pidleak::testing

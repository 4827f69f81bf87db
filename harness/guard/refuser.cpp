#include "harness/guard/refuser.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/seize.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <map>
#include <optional>

namespace pidleak::testing {
namespace {

constexpr unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
constexpr unsigned long with_children = options | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
constexpr int call_stop = SIGTRAP | 0x80;

#ifdef __x86_64__
void set_register(pid_t pid, std::size_t offset, long value) { ::ptrace(PTRACE_POKEUSER, pid, offset, value); }
void drop_call(pid_t pid) { set_register(pid, offsetof(struct user, regs.orig_rax), -1); }
void set_result(pid_t pid, long result) { set_register(pid, offsetof(struct user, regs.rax), result); }
#else
void drop_call(pid_t) {}
void set_result(pid_t, long) {}
#endif

class Tracer {
public:
  Tracer(const Refused &what, const Refusal &refusal, Deadline deadline)
      : what_(what), refusal_(refusal), deadline_(deadline) {
    ::sigemptyset(&child_signal_);
    ::sigaddset(&child_signal_, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child_signal_, &before_);
  }

  Seen run() {
    start();
    int status = 0;
    while (!seen_.status || !traced_.empty()) {
      pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
      if (pid > 0)
        take(pid, status);
      else if (!wait_for_a_change())
        break;
    }
    if (!seen_.status)
      ::kill(program_, SIGKILL); // a child that was not waited for: its pid is its own
    return std::move(seen_);
  }

private:
  void start() {
    auto go = os::open_pipe();
    program_ = ::fork();
    if (program_ < 0)
      os::throw_errno("fork()");
    if (program_ == 0)
      execute(go);
    traced_[program_].is_counted = what_.child == 0;
    os::seize(program_, options);
    go.read_end.reset();
    os::write_all(go.write_end.get(), ".");
  }

  [[noreturn]] void execute(os::Pipe &go) {
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    std::vector<char *> arguments;
    for (const auto &argument : what_.program)
      arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::close(nothing);
    ::dup2(what_.output, STDOUT_FILENO);
    ::dup2(what_.output, STDERR_FILENO);
    go.write_end.reset();
    char byte = 0;
    if (os::read_exactly(go.read_end.get(), &byte, 1))
      ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  bool wait_for_a_change() const {
    int left = deadline_.left_ms();
    timespec timeout{.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
    return left > 0 && (::sigtimedwait(&child_signal_, nullptr, &timeout) > 0 || errno == EINTR);
  }

  void take(pid_t pid, int status) {
    if (!WIFSTOPPED(status)) {
      traced_.erase(pid);
      if (pid == program_)
        seen_.status = os::WaitStatus::from_raw(status);
      return;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    if (!traced_.contains(pid)) { // the child that is to be refused, before its first instruction
      traced_[pid] = {.is_counted = true, .has_begun = !child_will_execute_};
      ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, options); // it has got its parent's: no further child
      ::ptrace(PTRACE_SYSCALL, pid, nullptr, 0);
      return;
    }
    if (event == 0 && signal == SIGSEGV) { // a fault does not end the init of a namespace as long as it is traced
      traced_.erase(pid);
      ::ptrace(PTRACE_DETACH, pid, nullptr, signal);
      return;
    }
    auto &traced = traced_[pid];
    if (signal == call_stop)
      on_call(pid, traced);
    else if (event == PTRACE_EVENT_EXEC)
      on_exec(traced);
    else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
      ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, options); // this child, and no further one
    ::ptrace(PTRACE_SYSCALL, pid, nullptr, event == 0 && signal != call_stop ? signal : 0);
  }

  struct Traced {
    bool is_counted = false, has_begun = false;
    int programs = 0;
    bool in_main = false, has_opened = false, to_refuse = false, has_entered = false;
  };

  static void on_exec(Traced &traced) {
    ++traced.programs;
    traced = {.is_counted = traced.is_counted, .has_begun = true, .programs = traced.programs, .has_entered = true};
  }

  void on_call(pid_t pid, Traced &traced) {
    struct __ptrace_syscall_info info {};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
      return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (std::exchange(traced.to_refuse, false))
        set_result(pid, -refusal_.error);
      return;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
      return;
    auto call = static_cast<long>(info.entry.nr);
    if (pid == program_ && what_.child > 0 && call == SYS_clone && ++children_ == what_.child) {
      child_will_execute_ = (info.entry.args[0] & CLONE_VFORK) != 0;
      ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, with_children);
    }
    if (traced.is_counted && traced.has_begun)
      count(pid, traced, call);
  }

  void count(pid_t pid, Traced &traced, long call) {
    bool before_main = !traced.in_main;
    seen_.calls.push_back({.call = call, .before_main = before_main});
    note_main(traced, call);
    bool counts = !refusal_.from_main_on || (!before_main && traced.programs >= what_.programs);
    if (call != refusal_.call || !counts)
      return;
    ++instances_;
    if (instances_ < refusal_.first || (instances_ > refusal_.first && !refusal_.for_ever))
      return;
    ++seen_.refused;
    seen_.refused_before_main = seen_.refused_before_main || before_main;
    traced.to_refuse = true;
    drop_call(pid);
  }

  /// The last that glibc's start does: in a static program it protects what was relocated; in another the loader lets
  /// go of its cache.
  static void note_main(Traced &traced, long call) {
    traced.has_opened = traced.has_opened || call == SYS_openat;
    traced.in_main = traced.in_main || call == SYS_munmap || (call == SYS_mprotect && !traced.has_opened) ||
                     traced.programs == 0; // forked, and so in main already
  }

  const Refused &what_;
  const Refusal &refusal_;
  const Deadline deadline_;
  sigset_t child_signal_{}, before_{};
  pid_t program_ = -1;
  std::map<pid_t, Traced> traced_;
  int children_ = 0, instances_ = 0;
  bool child_will_execute_ = false;
  Seen seen_;
};

} // namespace

Seen run_refused(const Refused &what, const Refusal &refusal, Deadline deadline) {
  return Tracer(what, refusal, deadline).run();
}

std::string call_name(long number) {
  static const std::map<long, const char *> names = {
#define PIDLEAK_NAME(call) {SYS_##call, #call}
#ifdef __x86_64__ // the older calls that it still has
      PIDLEAK_NAME(access),
      PIDLEAK_NAME(arch_prctl),
      PIDLEAK_NAME(poll),
      PIDLEAK_NAME(readlink),
#endif
      PIDLEAK_NAME(brk),
      PIDLEAK_NAME(clone),
      PIDLEAK_NAME(clock_nanosleep),
      PIDLEAK_NAME(close),
      PIDLEAK_NAME(execve),
      PIDLEAK_NAME(exit_group),
      PIDLEAK_NAME(fcntl),
      PIDLEAK_NAME(fstatfs),
      PIDLEAK_NAME(futex),
      PIDLEAK_NAME(getdents64),
      PIDLEAK_NAME(getegid),
      PIDLEAK_NAME(geteuid),
      PIDLEAK_NAME(getgid),
      PIDLEAK_NAME(getpid),
      PIDLEAK_NAME(getppid),
      PIDLEAK_NAME(getrandom),
      PIDLEAK_NAME(getsid),
      PIDLEAK_NAME(gettid),
      PIDLEAK_NAME(getuid),
      PIDLEAK_NAME(ioctl),
      PIDLEAK_NAME(lseek),
      PIDLEAK_NAME(mmap),
      PIDLEAK_NAME(mount),
      PIDLEAK_NAME(mprotect),
      PIDLEAK_NAME(munmap),
      PIDLEAK_NAME(newfstatat),
      PIDLEAK_NAME(openat),
      PIDLEAK_NAME(pidfd_getfd),
      PIDLEAK_NAME(pidfd_open),
      PIDLEAK_NAME(pidfd_send_signal),
      PIDLEAK_NAME(pipe2),
      PIDLEAK_NAME(ppoll),
      PIDLEAK_NAME(prctl),
      PIDLEAK_NAME(pread64),
      PIDLEAK_NAME(prlimit64),
      PIDLEAK_NAME(process_vm_readv),
      PIDLEAK_NAME(read),
      PIDLEAK_NAME(recvfrom),
      PIDLEAK_NAME(recvmsg),
      PIDLEAK_NAME(rseq),
      PIDLEAK_NAME(rt_sigaction),
      PIDLEAK_NAME(rt_sigprocmask),
      PIDLEAK_NAME(sendmsg),
      PIDLEAK_NAME(sendto),
      PIDLEAK_NAME(set_robust_list),
      PIDLEAK_NAME(set_tid_address),
      PIDLEAK_NAME(setsid),
      PIDLEAK_NAME(signalfd4),
      PIDLEAK_NAME(socket),
      PIDLEAK_NAME(socketpair),
      PIDLEAK_NAME(uname),
      PIDLEAK_NAME(unshare),
      PIDLEAK_NAME(waitid),
      PIDLEAK_NAME(write),
      PIDLEAK_NAME(writev),
#undef PIDLEAK_NAME
  };
  auto found = names.find(number);
  return found == names.end() ? "call " + std::to_string(number) : found->second;
}

} // namespace pidleak::testing

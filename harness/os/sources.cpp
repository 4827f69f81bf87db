#include "harness/os/sources.hpp"

#include "harness/os/advice.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/seize.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/task_events.hpp"
#include "harness/os/unix_sockets.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

namespace pidleak::os {
namespace {

std::string why_foreign_proc() {
  char self[32] = {};
  ssize_t size = ::readlink("/proc/self", self, sizeof self - 1);
  if (size > 0 && std::string_view(self, static_cast<std::size_t>(size)) == std::to_string(::getpid()))
    return "";
  std::string what = size > 0 ? fmt::format("/proc belongs to another PID namespace: this process is pid {} there and "
                                            "pid {} here",
                                            self, ::getpid())
                              : fmt::format("/proc/self can't be read: {}", describe_errno(errno));
  return what + ". Mount the /proc of this namespace (unshare --mount-proc, bwrap --proc /proc)";
}

std::string why_no_children() {
  auto path = fmt::format("/proc/self/task/{}/children", ::gettid());
  char byte = 0;
  // Opened and read: a filter or a file system may let access(2) through, and say no later.
  auto fd = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd && ::read(fd.get(), &byte, 1) >= 0)
    return "";
  int error = errno;
  return fmt::format("{} can't be read: {}{}", path, describe_errno(error),
                     error == ENOENT ? ". The kernel needs CONFIG_PROC_CHILDREN" : "");
}

std::string why_no_pidfds() {
  auto refused = [](const char *call) {
    return fmt::format("{}: {}. Linux 5.4 or later is needed, and a seccomp filter that lets pidfd_open, "
                       "pidfd_send_signal and waitid through",
                       call, describe_errno(errno));
  };
  auto self = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self)
    return refused("pidfd_open()");
  if (::syscall(SYS_pidfd_send_signal, self.get(), 0, nullptr, 0) != 0)
    return refused("pidfd_send_signal()");
  if (is_child(self.get()) != std::optional(false)) // the known answer: no process is its own child
    return refused("waitid(P_PIDFD)");
  return "";
}

} // namespace

std::string why_blind() {
  for (auto *why_not : {why_foreign_proc, why_no_children, why_no_pidfds})
    if (auto why = why_not(); !why.empty())
      return why;
  return "";
}

// ` #0: <00000000af5c1fbf>, tick_nohz_handler, S:01` (kernel/time/timer_list.c, print_timer()); without CONFIG_KALLSYMS
// a number stands where the name is. Every machine has some timer: its tick, or who reads this file.
Alarms parse_timer_list(std::string_view text) {
  if (!text.starts_with("Timer List Version"))
    return Alarms::not_shown;
  bool has_names = false;
  for (auto at = text.find(">, "); at != text.npos; at = text.find(">, ", at)) {
    at += 3;
    auto name = text.substr(at, text.find(',', at) - at);
    if (name == "it_real_fn")
      return Alarms::some;
    has_names = has_names || (!name.empty() && (std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_'));
  }
  return has_names ? Alarms::none : Alarms::not_shown;
}

Alarms read_alarms() {
  try {
    return parse_timer_list(read_file("/proc/timer_list"));
  } catch (const SyscallError &) {
    return Alarms::not_shown;
  }
}

namespace {

/// A process to try the sources on. It waits until this object goes.
class Guinea {
public:
  Guinea() : ends_(open_pipe()) {
    pid_t pid = ::fork();
    if (pid < 0)
      throw_errno("fork()");
    if (pid == 0) {
      ends_.write_end.reset();
      itimerval in_an_hour{.it_interval = {}, .it_value = {.tv_sec = 3600, .tv_usec = 0}};
      ::setitimer(ITIMER_REAL, &in_an_hour, nullptr);
      char byte = 0;
      while (::read(ends_.read_end.get(), &byte, 1) < 0 && errno == EINTR) {
      }
      ::_exit(0);
    }
    child_ = ProcessRef::of_child(pid);
    // It sleeps in its read once it has set its alarm.
    auto deadline = Deadline::after(std::chrono::seconds(5));
    for (Backoff backoff; !deadline.passed(); wait_for_any_exit({}, backoff.next()))
      if (auto call = read_syscall(pid, pid); !call || (!call->running && call->number == SYS_read))
        if (auto stat = read_stat(pid); !stat || stat->state == 'S')
          return;
  }
  Guinea(const Guinea &) = delete;
  Guinea &operator=(const Guinea &) = delete;
  ~Guinea() {
    ends_.write_end.reset();
    reap(*child_, Deadline::after(std::chrono::seconds(5)));
  }
  const ProcessRef &process() const { return *child_; }
  int pipe() const { return ends_.read_end.get(); }
  const void *memory() const { return &ends_; } // the same address there

private:
  Pipe ends_;
  std::optional<ProcessRef> child_;
};

std::string unless(bool works, const std::string &why) { return works ? "" : why; }
std::string errno_unless(bool works, const std::string &call) {
  return works ? "" : fmt::format("{}: {}", call, describe_errno(errno));
}

/// Whether a process can be stopped at its system calls. It is let go at once.
std::string why_no_tracing(pid_t pid) {
  try {
    seize(pid);
  } catch (const std::exception &e) {
    return e.what();
  }
  ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr); // it must stop to be let go
  ::waitpid(pid, nullptr, __WALL);
  ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return "";
}

/// A child looks at this process, which is not below it.
std::string why_not_from_below() {
  pid_t pid = ::getpid(), child = ::fork();
  if (child < 0)
    throw_errno("fork()");
  if (child == 0)
    ::_exit(read_syscall(pid, pid) ? 0 : 1);
  return unless(reap(ProcessRef::of_child(child)) == WaitStatus{}, "/proc/PID/syscall says nothing");
}

/// proc(5): with hidepid, the init of another user can't be read, or is not there at all.
std::string why_others_are_hidden() {
  char byte = 0;
  auto init = UniqueFd::adopt(::open("/proc/1/stat", O_RDONLY | O_CLOEXEC));
  return unless(init && ::read(init.get(), &byte, 1) == 1,
                "/proc hides them (hidepid). As root, `mount -o remount,hidepid=0 /proc` shows them");
}

std::string why_no_peers() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return "socketpair(): " + describe_errno(errno);
  auto one = UniqueFd::adopt(ends[0]), other = UniqueFd::adopt(ends[1]);
  struct stat of_one {
  }, of_other{};
  ::fstat(one.get(), &of_one);
  ::fstat(other.get(), &of_other);
  auto found = find_unix_socket(of_one.st_ino);
  return unless(found && found->peer == of_other.st_ino,
                "sock_diag does not answer. The kernel needs CONFIG_UNIX_DIAG, as Debian's have: modprobe unix_diag");
}

} // namespace

std::vector<Source> try_sources() {
  const std::string no_rest = "verdicts leaked and hung wait for the deadline", blind = "there is no census";
  std::vector<Source> sources = {{"own /proc", why_foreign_proc(), blind},
                                 {"lists of children", why_no_children(), blind},
                                 {"pidfds", why_no_pidfds(), "nothing can be signalled without risk to others"}};
  if (!why_blind().empty())
    return sources;
  Guinea guinea;
  const auto &process = guinea.process();
  pid_t pid = process.pid();
  auto call = read_syscall(pid, pid);
  sources.push_back({"calls of others",
                     or_yama(unless(call && call->number == SYS_read, "/proc/PID/syscall says nothing"),
                             "The kernel needs CONFIG_HAVE_ARCH_TRACEHOOK"),
                     no_rest + ", and causes are unknown"});
  sources.push_back({"  that are not below",
                     or_yama(why_not_from_below(), advise_sysctl("kernel.yama.ptrace_scope", "0"), "0"),
                     "`pidleak why` knows causes for its own descendants alone"});
  auto fds = read_fds(pid);
  sources.push_back({"descriptors of others",
                     unless(fds && std::any_of(fds->begin(), fds->end(),
                                               [&](const auto &fd) {
                                                 return fd.number == guinea.pipe() && fd.target.starts_with("pipe:[");
                                               }),
                            "/proc/PID/fd says nothing"),
                     no_rest});
  UniqueFd timers = UniqueFd::adopt(::open(fmt::format("/proc/{}/timers", pid).c_str(), O_RDONLY | O_CLOEXEC));
  sources.push_back(
      {"POSIX timers",
       errno_unless(static_cast<bool>(timers), "The kernel needs CONFIG_CHECKPOINT_RESTORE: /proc/PID/timers"),
       no_rest});
  sources.push_back(
      {"alarms visible",
       unless(read_alarms() == Alarms::some,
              "/proc/timer_list is for root, masked or without symbols. Root sees it, in a container where "
              "the engine does not mask it (docker run --security-opt systempaths=unconfined)"),
       no_rest + ", but for replays in a PID namespace, which see their own"});
  char copy = 0;
  iovec here{.iov_base = &copy, .iov_len = 1}, there{.iov_base = const_cast<void *>(guinea.memory()), .iov_len = 1};
  sources.push_back({"memory of others",
                     or_yama(errno_unless(::process_vm_readv(pid, &here, 1, &there, 1, 0) == 1, "process_vm_readv()"),
                             seccomp_may_refuse),
                     "what poll(2) and select(2) wait for can't be told, and " + no_rest});
  auto duplicate = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_getfd, process.pidfd(), guinea.pipe(), 0)));
  sources.push_back({"time-outs of sockets",
                     or_yama(errno_unless(static_cast<bool>(duplicate), "pidfd_getfd()"), seccomp_may_refuse),
                     no_rest + " if a process waits for a socket"});
  sources.push_back({"points of execution", why_no_tracing(pid), "there is no sweep, and no --point"});
  sources.push_back({"other users' processes", why_others_are_hidden(),
                     "where one of these is below, the census is not complete, and what they hold is unknown"});
  sources.push_back({"forks and execs", TaskEvents().why_none(), "guard can't tell who created what remains"});
  sources.push_back({"peers of unix sockets", why_no_peers(), no_rest + " if a process waits for one"});
  return sources;
}

} // namespace pidleak::os

// Workers that get out of sight further than those of hiding_workers.cpp: other namespaces, programs, names and owners.
// What this machine does not let them do they do without, and are leaked all the same.
#include "workers/specimens/specimen.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace pidleak::specimens {
namespace {

/// A worker that does this first and then pauses.
Specimen after(const std::string &name, const std::string &what, const std::function<void()> &escape) {
  return {.name = name, .what = what, .verdict = "leaked", .causes = "waits-for-signal", .run = [escape] {
            start_and_wait([&](const auto &ready) {
              escape();
              ready();
              pause_for_ever();
            });
          }};
}

Specimen two(const std::string &name, const std::string &what, const std::function<void()> &run) {
  return {name, what, "leaked", "waits-for-signal, waits-for-signal", run};
}

bool is_root() { return ::geteuid() == 0; }

/// A process in a new PID namespace; an ordinary user needs a user namespace for it, and may not have that either.
void start_in_pid_namespace(bool user_namespace, const std::function<void()> &body) {
  clone_args arguments{};
  arguments.flags = CLONE_NEWPID | (user_namespace ? CLONE_NEWUSER : 0);
  arguments.exit_signal = SIGCHLD;
  long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0)
    start(body);
  else if (pid == 0)
    body();
}

/// setproctitle(3) by hand: the kernel shows the bytes between these two addresses.
void overwrite_arguments() {
  std::ifstream file("/proc/self/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}}, field;
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  for (int number = 3; number < 48; ++number) // arg_start, arg_end: proc_pid_stat(5)
    fields >> field;
  std::size_t from = 0, to = 0;
  fields >> from >> to;
  std::memset(reinterpret_cast<void *>(from), 0, to - from); // NOLINT(performance-no-int-to-ptr)
}

constexpr std::array pausing = {"kthreadd", pause_option};
char *const *pausing_arguments() {
  static std::array<char *, 3> arguments = {const_cast<char *>(pausing[0]), const_cast<char *>(pausing[1]), nullptr};
  return arguments.data();
}

void spawn() {
  pid_t pid = 0;
  ::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, pausing_arguments(), nullptr);
}

void vfork_and_execute() {
  if (::vfork() == 0) {
    ::execve("/proc/self/exe", pausing_arguments(), pausing_arguments() + 2);
    ::_exit(1);
  }
}

/// A copy of this program that has no path.
void execute_from_memory() {
  auto program = os::UniqueFd::adopt(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  auto copy = os::UniqueFd::adopt(::memfd_create("kworker", MFD_CLOEXEC));
  struct stat info {};
  ::fstat(program.get(), &info);
  for (off_t at = 0; at<info.st_size && ::sendfile(copy.get(), program.get(), &at, 1 << 30)> 0;) {
  }
  ::fexecve(copy.get(), pausing_arguments(), pausing_arguments() + 2);
}

void leave_the_cgroup() {
  for (const char *root : {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"}) {
    auto fd = os::UniqueFd::adopt(::open(root, O_WRONLY | O_CLOEXEC));
    [[maybe_unused]] bool left = fd && ::write(fd.get(), "0", 1) == 1;
  }
}

void set_all_signals(void (*handler)(int)) {
  for (int signal = 1; signal <= SIGRTMAX; ++signal)
    ::signal(signal, handler);
}

void *fork_and_end(void *) {
  start(pause_for_ever);
  return nullptr;
}

void *pause_in_thread(void *) { pause_for_ever(); }

void open_terminal_of_its_own() {
  ::setsid();
  int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ::grantpt(terminal);
  ::unlockpt(terminal);
  ::open(::ptsname(terminal), O_RDWR); // the first that a session's leader opens is its own
}

} // namespace

std::vector<Specimen> escaping_workers() {
  return {
      {"is-in-a-pid-namespace", "the init of a PID namespace", "leaked", "waits-for-signal",
       [] { start_in_pid_namespace(!is_root(), pause_for_ever); }},
      {"is-in-a-user-namespace", "the init of a PID namespace in a user namespace", "leaked", "waits-for-signal",
       [] { start_in_pid_namespace(true, pause_for_ever); }},
      two("is-a-daemon-in-a-pid-namespace", "a daemon that the init of a PID namespace has adopted",
          [] {
            start_in_pid_namespace(!is_root(), [] {
              start(pause_for_ever);
              pause_for_ever();
            });
          }),
      after("has-unshared-the-rest", "a worker in mount, IPC and UTS namespaces of its own",
            [] { ::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (is_root() ? 0 : CLONE_NEWUSER)); }),
      after("has-left-its-cgroup", "a worker in the root of the cgroup tree", leave_the_cgroup),
      after("has-overwritten-its-arguments", "a worker whose command line is empty", overwrite_arguments),
      after("has-an-odd-name", "a worker whose name looks like another line of /proc",
            [] { ::prctl(PR_SET_NAME, ") Z 1 1 (\n"); }),
      {"was-spawned", "another program, by posix_spawn()", "leaked", "waits-for-signal", spawn},
      {"was-executed-after-vfork", "another program, by vfork() and exec", "leaked", "waits-for-signal",
       vfork_and_execute},
      {"runs-from-memory", "a program without a path, by fexecve() of a memfd", "leaked", "waits-for-signal",
       [] { start(execute_from_memory); }},
      after("has-closed-its-streams", "a worker without standard streams", [] { ::close_range(0, 2, 0); }),
      after("leads-a-group", "a worker in a process group of its own", [] { ::setpgid(0, 0); }),
      {"is-a-daemon-of-a-daemon", "a worker that has made itself a daemon twice", "leaked", "waits-for-signal",
       [] { daemonize([] { daemonize(pause_for_ever); }); }},
      {"is-a-stopped-daemon", "a daemon that stops", "leaked", "stopped", [] { daemonize([] { ::raise(SIGSTOP); }); }},
      {"is-a-daemon-without-leader", "a daemon whose first thread has ended", "leaked", "waits-for-signal",
       [] {
         daemonize([] {
           pthread_t thread{};
           ::pthread_create(&thread, nullptr, pause_in_thread, nullptr);
           ::pthread_exit(nullptr);
         });
       }},
      two("is-the-child-of-a-thread", "the child of a thread that has ended, in a process that goes on",
          [] {
            start_and_wait([](const auto &ready) {
              ready(); // before the child: it would hold the pipe
              pthread_t thread{};
              ::pthread_create(&thread, nullptr, fork_and_end, nullptr);
              ::pthread_join(thread, nullptr);
              pause_for_ever();
            });
          }),
      after("has-cleared-its-death-signal", "a worker that would have ended with its owner, and will not any more",
            [] {
              ::prctl(PR_SET_PDEATHSIG, SIGKILL);
              ::prctl(PR_SET_PDEATHSIG, 0);
            }),
      two("ignores-its-children", "a worker that ignores SIGCHLD, and its child",
          [] {
            start_and_wait([](const auto &ready) {
              ::signal(SIGCHLD, SIG_IGN);
              ready();
              start(pause_for_ever);
              pause_for_ever();
            });
          }),
      after("ignores-everything", "a worker that ignores every signal", [] { set_all_signals(SIG_IGN); }),
      after("blocks-everything", "a worker in a session of its own that blocks every signal",
            [] {
              ::setsid();
              sigset_t all;
              ::sigfillset(&all);
              ::sigprocmask(SIG_BLOCK, &all, nullptr);
            }),
      after("lives-elsewhere", "a worker with another root, or at least another directory",
            [] {
              ::setsid();
              [[maybe_unused]] bool moved = ::chdir("/") == 0 && ::chroot("/usr") == 0;
            }),
      after("has-a-terminal-of-its-own", "a worker with a controlling terminal that no other process has",
            open_terminal_of_its_own),
      after("has-another-user", "a worker that has given up root",
            [] { [[maybe_unused]] bool changed = ::setresuid(65534, 65534, 65534) == 0; }),
  };
}

} // namespace pidleak::specimens

#include "harness/os/namespaces.hpp"

#include "harness/os/advice.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>
#include <exception>

namespace pidleak::os {
namespace {

/// What to do about a refusal, where a setting explains it. The first is Debian's, the last Ubuntu's.
std::string advice_on_namespaces(NamespaceKind kind, int error) {
  struct Setting {
    const char *name, *refuses, *allows;
  };
  static constexpr Setting settings[] = {{"kernel.unprivileged_userns_clone", "0", "1"},
                                         {"user.max_user_namespaces", "0", "1000"}, // user_namespaces(7)
                                         {"kernel.apparmor_restrict_unprivileged_userns", "1", "0"}};
  if (kind == NamespaceKind::privileged)
    return error == EPERM ? ". It takes root (CAP_SYS_ADMIN)" : "";
  for (const auto &setting : settings)
    if (read_sysctl(setting.name) == setting.refuses)
      return ". " + advise_sysctl(setting.name, setting.allows);
  return error == EPERM ? fmt::format(". {}", seccomp_may_refuse) : "";
}

void mount_fresh(const char *type, const char *target, unsigned long flags, const char *options) {
  if (::mount(type, target, type, MS_NOSUID | MS_NODEV | flags, options) != 0)
    throw_errno("mount({} on {})", type, target);
}

} // namespace

NamespaceKind namespace_kind_of_user() {
  return ::geteuid() == 0 ? NamespaceKind::privileged : NamespaceKind::with_user_namespace;
}

void unshare_for_init(NamespaceKind kind) {
  uid_t user = ::geteuid();
  gid_t group = ::getegid();
  int flags = CLONE_NEWPID | (kind == NamespaceKind::with_user_namespace ? CLONE_NEWUSER : 0);
  if (::unshare(flags) != 0)
    throw_errno("unshare({}CLONE_NEWPID)", flags & CLONE_NEWUSER ? "CLONE_NEWUSER|" : "");
  if (kind == NamespaceKind::with_user_namespace) {
    write_file("/proc/self/setgroups", "deny"); // user_namespaces(7): without it gid_map is refused
    write_file("/proc/self/uid_map", fmt::format("{0} {0} 1", user));
    write_file("/proc/self/gid_map", fmt::format("{0} {0} 1", group));
  }
}

void mount_private_proc() {
  // Here and not before the fork: the parent goes on needing the /proc of its own PID namespace.
  if (::unshare(CLONE_NEWNS) != 0)
    throw_errno("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw_errno("mount(MS_REC|MS_PRIVATE on /)");
  mount_fresh("proc", "/proc", MS_NOEXEC, nullptr);
}

void mount_private_filesystems() {
  mount_private_proc();
  mount_fresh("tmpfs", "/dev/shm", 0, "mode=1777"); // programs may be run from temporary directories
}

void unshare_network_and_ipc() {
  if (::unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0)
    throw_errno("unshare(CLONE_NEWNET|CLONE_NEWIPC)");
  auto any = UniqueFd::adopt(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP;
  if (::ioctl(any.get(), SIOCSIFFLAGS, &loopback) != 0) // netdevice(7)
    throw_errno("ioctl(SIOCSIFFLAGS of lo)");
}

std::string why_no_namespace(NamespaceKind kind) {
  Pipe reason = open_pipe();
  pid_t prober = ::fork();
  if (prober < 0)
    throw_errno("fork()");
  if (prober == 0) {
    try {
      unshare_for_init(kind);
      pid_t init = ::fork();
      if (init == 0) {
        try {
          mount_private_filesystems();
          read_file("/proc/self/task/1/children"); // CONFIG_PROC_CHILDREN: the census walks it
        } catch (const std::exception &e) {
          write_all(reason.write_end.get(), e.what());
        }
        ::_exit(0);
      }
      if (init < 0)
        throw_errno("fork() of the init");
      ::waitpid(init, nullptr, 0);
    } catch (const SyscallError &e) {
      write_all(reason.write_end.get(), e.what() + advice_on_namespaces(kind, e.error()));
    } catch (const std::exception &e) {
      write_all(reason.write_end.get(), e.what());
    }
    ::_exit(0);
  }
  reason.write_end.reset();
  std::string text;
  char byte = 0;
  while (read_exactly(reason.read_end.get(), &byte, 1))
    text += byte;
  ::waitpid(prober, nullptr, 0);
  return text;
}

} // namespace pidleak::os

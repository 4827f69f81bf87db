#include "harness/os/alarm_watch.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <iterator>

namespace pidleak::os {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t own_architecture = 0; // all are taken for 32-bit programs
#endif
#ifdef SYS_alarm
constexpr std::uint32_t own_alarm = SYS_alarm;
#else
constexpr std::uint32_t own_alarm = 0xffffffff; // no call has that number: aarch64 has no alarm(2)
#endif

/// The descriptor that tells of the calls; none where the kernel refuses.
UniqueFd install_filter() {
  constexpr std::uint32_t alarm32 = 27, setitimer32 = 104; // of i386 and of arm
  constexpr std::uint32_t x32 = 0x40000000;                // a bit of the number, __X32_SYSCALL_BIT
  // A jump goes on that many lines further, if so and if not.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own_architecture, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~x32),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own_alarm, 7, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setitimer, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)), // its lower half, on these architectures
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ITIMER_REAL, 4, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), // of a program of another architecture
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, alarm32, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, setitimer32, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
  };
  sock_fprog program{.len = std::size(code), .filter = code};
  // Without the kernel's mitigations for code that does not trust itself: they make it slower (Linux before 5.16).
  constexpr unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  return UniqueFd::adopt(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)));
}

} // namespace

std::shared_ptr<const AlarmWatch> AlarmWatch::start() {
  auto listener = install_filter();
  if (!listener)
    return nullptr;
  return std::shared_ptr<const AlarmWatch>(new AlarmWatch(std::move(listener), open_pipe()));
}

AlarmWatch::AlarmWatch(UniqueFd listener, Pipe stop) : listener_(std::move(listener)), stop_(std::move(stop)) {
  sigset_t all, before;
  ::sigfillset(&all); // signals are for the thread that was there before
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { answer(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AlarmWatch::~AlarmWatch() {
  write_all(stop_.write_end.get(), "."); // to close it is not enough: children have it as well
  thread_.join();
}

void AlarmWatch::answer() {
  for (;;) {
    pollfd readable[] = {{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                         {.fd = stop_.read_end.get(), .events = POLLIN, .revents = 0}};
    if (::poll(readable, std::size(readable), -1) < 0 && errno != EINTR)
      return;
    if (readable[1].revents != 0)
      return;
    seccomp_notif call{};
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      if (errno == EINTR || errno == ENOENT) // its caller has gone
        continue;
      return;
    }
    seen_ = true; // before it is done
    seccomp_notif_resp answer{};
    answer.id = call.id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

} // namespace pidleak::os

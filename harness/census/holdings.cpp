#include "harness/census/holdings.hpp"

#include "harness/census/mappings.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/unix_sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace pidleak::census {
namespace {

/// A socket may give up waiting by itself (SO_RCVTIMEO, SO_SNDTIMEO), which no file of /proc tells: ask a duplicate.
bool gives_up(pid_t pid, int fd) {
  auto process = os::ProcessRef::open(pid);
  if (!process)
    return true;
  auto copy = os::UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_getfd, process->pidfd(), fd, 0))); // Linux 5.6
  if (!copy)
    return true;
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    timeval limit{};
    socklen_t size = sizeof limit;
    if (::getsockopt(copy.get(), SOL_SOCKET, option, &limit, &size) != 0 || limit.tv_sec != 0 || limit.tv_usec != 0)
      return true;
  }
  return false;
}

std::string path_to(pid_t pid, const os::ProcFd &fd) { return fmt::format("/proc/{}/fd/{}", pid, fd.number); }

/// Files and directories of file systems that keep data: poll(2) never waits for them. Others have files that pass for
/// regular and can be waited for: /proc/self/mounts, /proc/pressure, cgroup.events, sysfs, message queues, FUSE.
bool is_always_ready(pid_t pid, const os::ProcFd &fd) {
  constexpr std::array<std::uint32_t, 13> keep_data = {
      EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC, TMPFS_MAGIC,       RAMFS_MAGIC,
      F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,    ISOFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC,
      NFS_SUPER_MAGIC,  EROFS_SUPER_MAGIC_V1,  0x2fc12fc1 /* ZFS */};
  struct stat file {};
  struct statfs system {};
  return ::stat(path_to(pid, fd).c_str(), &file) == 0 && (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode)) &&
         ::statfs(path_to(pid, fd).c_str(), &system) == 0 &&
         std::find(keep_data.begin(), keep_data.end(), static_cast<std::uint32_t>(system.f_type)) != keep_data.end();
}

/// Nothing: it is no unix socket.
std::optional<os::UnixSocket> socket_behind(const std::string &target) {
  auto inode = os::socket_inode(target);
  return inode ? os::find_unix_socket(*inode) : std::nullopt;
}

bool is_any_of(const std::string &target, std::initializer_list<const char *> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](const char *start) { return target.starts_with(start); });
}

} // namespace

Holdings::Holdings(const std::vector<Member> &members, const Boundary &boundary)
    : members_(members), boundary_(boundary) {
  for (const auto &member : members)
    if (member.state != ProcessState::zombie)
      if (auto fds = os::read_fds(member.pid)) {
        for (const auto &fd : *fds)
          if (fd.target.starts_with("socket:"))
            sockets_.insert(fd.target);
        fds_.emplace(member.pid, std::move(*fds));
      }
}

const std::vector<os::ProcFd> *Holdings::of(pid_t pid) const {
  auto found = fds_.find(pid);
  return found == fds_.end() ? nullptr : &found->second;
}

const os::ProcFd *Holdings::find(pid_t pid, int number) const {
  if (const auto *fds = of(pid))
    for (const auto &fd : *fds)
      if (fd.number == number)
        return &fd;
  return nullptr;
}

std::string Holdings::why_not_alone(pid_t pid, const os::ProcFd &fd) const {
  const auto &target = fd.target;
  if (target.starts_with("anon_inode:[eventfd"))
    return why_not_alone_eventfd(pid, fd);
  if (is_any_of(target, {"anon_inode:[pidfd]", "pidfd:"}))
    return why_not_alone_pidfd(fd);
  if (target.starts_with("socket:"))
    return why_not_alone_socket(pid, fd);
  // A signalfd tells of its reader's own signals; what an epoll watches is judged by itself.
  bool inside = is_any_of(target, {"pipe:[", "anon_inode:[eventpoll]"}) && !boundary_.outside.contains(target);
  if (inside || target == "anon_inode:[signalfd]" || target == "/dev/null" || boundary_.is_below_scratch(target) ||
      is_always_ready(pid, fd))
    return "";
  return boundary_.outside.contains(target) ? target + ", which is held outside" : target;
}

std::string Holdings::why_not_alone_eventfd(pid_t pid, const os::ProcFd &fd) const {
  auto identity = identity_of(pid, fd);
  if (boundary_.outside.contains(identity) || boundary_.outside.contains("eventfd"))
    return "an eventfd, which is held outside";
  auto kernel = signalled_by_kernel();
  return kernel.empty() ? "" : fmt::format("an eventfd, which the kernel may signal ({})", kernel);
}

/// What lets the kernel signal an eventfd: asynchronous I/O (IOCB_FLAG_RESFD), io_uring, virtual machines (irqfd),
/// vhost, VFIO and other devices. Registered with any process here, it may be any process's.
std::string Holdings::signalled_by_kernel() const {
  for (const auto &[pid, fds] : fds_) {
    for (const auto &fd : fds)
      if (is_any_of(fd.target, {"anon_inode:[io_uring]", "anon_inode:kvm", "anon_inode:[vfio"}) ||
          (fd.target.starts_with("/dev/") &&
           !is_any_of(fd.target, {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
                                  "/dev/pts/", "/dev/ptmx", "/dev/shm/", "/dev/console"})))
        return fmt::format("pid {} has {}", pid, fd.target);
    for (const auto &mapping : read_mappings(pid))
      if (mapping.path.starts_with("/[aio]"))
        return fmt::format("pid {} does asynchronous I/O", pid);
  }
  return "";
}

std::string Holdings::why_not_alone_pidfd(const os::ProcFd &fd) const {
  auto line = os::fdinfo_lines(fd.info, "Pid");
  auto pid = line.empty() || line[0].empty() ? "?" : line[0][0]; // 0: of another namespace, -1: reaped
  bool is_member = std::any_of(members_.begin(), members_.end(),
                               [&](const auto &member) { return std::to_string(member.pid) == pid; });
  return is_member ? "" : fmt::format("the end of pid {}, which is outside", pid);
}

/// Alone if its peer is held here and not outside, or if it listens where no other process can connect to it.
std::string Holdings::why_not_alone_socket(pid_t pid, const os::ProcFd &fd) const {
  auto found = socket_behind(fd.target);
  if (!found || !found->is_stream)
    return fd.target;
  auto peer = fmt::format("socket:[{}]", found->peer);
  if (found->listens ? !boundary_.is_below_scratch(found->path) : !sockets_.contains(peer))
    return fd.target;
  if (boundary_.outside.contains(fd.target) || boundary_.outside.contains(peer))
    return fd.target + ", which is held outside";
  return gives_up(pid, fd.number) ? fd.target + ", which may have a timeout" : "";
}

bool Holdings::never_blocks(pid_t pid, const os::ProcFd &fd) {
  return fd.target == "/dev/null" || is_always_ready(pid, fd);
}

std::vector<Awaited> Holdings::awaited(pid_t pid, const os::ProcFd &fd) const {
  const auto &target = fd.target;
  if (target.starts_with("anon_inode:[eventfd"))
    return {{.identity = identity_of(pid, fd)}};
  if (target.starts_with("pipe:[")) {
    auto mode = fd.flags & O_ACCMODE;
    return {{.identity = target,
             .needs = mode == O_RDONLY   ? Awaited::End::pipe_writer
                      : mode == O_WRONLY ? Awaited::End::pipe_reader
                                         : Awaited::End::any}};
  }
  if (!target.starts_with("socket:"))
    return {};
  std::vector<Awaited> both = {{.identity = target}};
  if (auto found = socket_behind(target))
    both.push_back({.identity = fmt::format("socket:[{}]", found->peer)});
  return both;
}

std::string Holdings::why_signals(pid_t pid) const {
  const auto *fds = of(pid);
  if (!fds)
    return "its descriptors may not be read";
  for (const auto &fd : *fds) {
    if ((fd.flags & O_ASYNC) != 0)
      return fmt::format("it gets a signal when {} is ready", fd.target);
    for (const auto &words : os::fdinfo_lines(fd.info, "lock"))
      if (std::find(words.begin(), words.end(), "LEASE") != words.end())
        return fmt::format("it has a lease on {}", fd.target);
    struct stat file {};
    if (!fd.target.starts_with('/') || (fd.flags & O_PATH) != 0 || ::stat(path_to(pid, fd).c_str(), &file) != 0)
      continue;
    if (S_ISDIR(file.st_mode)) // F_NOTIFY of fcntl(2) shows nowhere
      return fmt::format("it may be told what happens in {}", fd.target);
    struct statfs system {};
    constexpr auto mqueue_magic = 0x19800202; // of ipc/mqueue.c; no header has it
    if (S_ISREG(file.st_mode) && ::statfs(path_to(pid, fd).c_str(), &system) == 0 && system.f_type == mqueue_magic)
      return fmt::format("it may be told when a message comes to {}", fd.target);
  }
  return "";
}

} // namespace pidleak::census

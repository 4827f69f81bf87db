#include "harness/census/remaining.hpp"

#include "harness/census/holdings.hpp"
#include "harness/census/mappings.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <thread>

namespace pidleak::census {
namespace {

Kind classify(const Member &member, const os::ProcStat &stat, const Surroundings &around) {
  if (around.helpers.contains(member.pid))
    return Kind::helper;
  if (member.state == ProcessState::zombie)
    return Kind::zombie;
  if (member.state == ProcessState::stopped)
    return Kind::stopped;
  const auto &group = around.cgroup_members;
  if (stat.session != around.session || (group && std::find(group->begin(), group->end(), member.pid) == group->end()))
    return Kind::escaped;
  return member.parent == around.harness && member.pid != around.subject ? Kind::orphan : Kind::live;
}

/// Whether a process outside may have in hand what a thread waits for.
bool may_be_held_outside(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                         const std::optional<Lock> &lock, const Boundary *boundary) {
  if (lock)
    return !lock->is_inside || (!boundary && lock->name != "private lock");
  if (!boundary)
    return false;
  for (const auto &fd : fds)
    if (fd.number == static_cast<int>(call.arguments[0]))
      return boundary->outside.contains(identity_of(pid, fd));
  return false;
}

/// The other ends of a process's sockets. The machine's connections are read once, where there is something to look
/// for.
class Peers {
public:
  explicit Peers(pid_t pid) : pid_(pid) {}
  void find(Endpoint &endpoint) {
    if (!os::socket_inode(endpoint.object))
      return;
    endpoint.peer = os::peer_of_unix_socket(endpoint.object);
    if (!endpoint.peer.empty())
      return;
    if (!connections_)
      connections_.emplace(pid_);
    endpoint.peer = connections_->peer_of(endpoint.object);
    endpoint.remote = connections_->remote_of(endpoint.object);
  }

private:
  pid_t pid_;
  std::optional<os::TcpConnections> connections_;
};

/// The terminal whose master this is: `master of /dev/pts/0` (tty-index: Linux 4.14); empty: it is none.
std::string terminal_of(const os::ProcFd &fd) {
  auto index =
      fd.target.ends_with("/ptmx") ? os::fdinfo_lines(fd.info, "tty-index") : std::vector<std::vector<std::string>>();
  return index.empty() || index[0].empty() ? "" : fmt::format("{}/dev/pts/{}", master_of, index[0][0]);
}

Endpoint endpoint_of(pid_t pid, const os::ProcFd &fd, Peers &peers) {
  Endpoint endpoint{.object = fd.target, .reads = fd.readable()};
  if (endpoint.object == "anon_inode:[pidfd]") {
    if (auto of = os::fdinfo_lines(fd.info, "Pid"); !of.empty() && !of[0].empty())
      endpoint.object = "pid " + of[0][0];
  } else if (endpoint.object.starts_with("anon_inode:[eventfd")) {
    endpoint.object = identity_of(pid, fd);
  }
  peers.find(endpoint);
  return endpoint;
}

/// Of a call about one descriptor; empty: it is about none.
Endpoint endpoint_of(pid_t pid, Wait wait, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                     Peers &peers) {
  if (wait == Wait::to_read || wait == Wait::to_write)
    for (const auto &fd : fds)
      if (fd.number == static_cast<int>(call.arguments[0]))
        return endpoint_of(pid, fd, peers);
  return {};
}

std::vector<Endpoint> endpoints_of(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                                   Peers &peers) {
  std::vector<Endpoint> endpoints;
  std::set<int> for_errors_alone;
  auto numbers = polls(call) ? polled_descriptors(pid, call, fds, &for_errors_alone) : std::nullopt;
  for (int number : numbers.value_or(std::vector<int>{}))
    for (const auto &fd : fds)
      if (fd.number == number && fd.target != "anon_inode:[eventpoll]" && // what that watches is told as well
          !for_errors_alone.contains(number))
        endpoints.push_back(endpoint_of(pid, fd, peers));
  return endpoints;
}

/// A thread of which /proc tells what it tells of a process: of a leader that has exited it does so no more.
pid_t living_thread(pid_t pid, const os::ProcStat &leader) {
  if (leader.state != 'Z')
    return pid;
  for (pid_t thread : os::read_threads(pid))
    if (auto stat = os::read_thread_stat(pid, thread); stat && stat->state != 'Z')
      return thread;
  return pid;
}

std::vector<ThreadWait> read_waits(pid_t pid, pid_t living, const std::vector<os::ProcFd> &fds,
                                   const Boundary *boundary) {
  std::vector<ThreadWait> waits;
  Peers peers(living);
  for (pid_t thread : os::read_threads(pid)) {
    auto stat = os::read_thread_stat(pid, thread);
    if (!stat || stat->state == 'Z') // a leader that has exited before its threads
      continue;
    ThreadWait wait{.thread = thread, .state = stat->state, .syscall = "", .arguments = {}};
    if (auto call = os::read_syscall(pid, thread)) {
      wait.syscall = call->running ? "running" : call->number < 0 ? "none" : os::syscall_name(call->number);
      if (!call->running && call->number >= 0) {
        wait.arguments.assign(call->arguments.begin(), call->arguments.end());
        wait.wait = wait_of(*call);
        auto lock =
            wait.wait == Wait::for_lock ? lock_of(thread, *call, boundary ? *boundary : Boundary()) : std::nullopt;
        wait.object = object_of(thread, *call, fds, lock);
        if (auto endpoint = endpoint_of(thread, wait.wait, *call, fds, peers); !endpoint.object.empty()) {
          wait.object = endpoint.object;
          wait.peer = endpoint.peer;
          wait.remote = endpoint.remote;
        }
        wait.polled = endpoints_of(thread, *call, fds, peers);
        wait.held_outside = may_be_held_outside(thread, *call, fds, lock, boundary);
      }
    }
    waits.push_back(wait);
  }
  return waits;
}

constexpr int most_looks = 5; // at one that was met on a CPU, where it rarely is

bool runs(const RemainingProcess &process) {
  return std::any_of(process.waits.begin(), process.waits.end(),
                     [](const auto &wait) { return wait.state == 'R' || wait.syscall == "running"; });
}

/// A loop that polls: it was met while its timer had just ended, as this process's own had.
bool sleeps_mostly(const RemainingProcess &process) {
  return process.status && process.status->voluntary_switches > 10 &&
         process.attributes->cpu_ms < process.attributes->age_ms / 2;
}

/// Its name may be gone.
bool is_fifo(pid_t pid, const os::ProcFd &fd) {
  struct stat info {};
  return fd.target.starts_with('/') && ::stat(fmt::format("/proc/{}/fd/{}", pid, fd.number).c_str(), &info) == 0 &&
         S_ISFIFO(info.st_mode);
}

std::vector<OpenPipe> pipes_among(pid_t pid, const std::vector<os::ProcFd> &fds) {
  std::vector<OpenPipe> pipes;
  for (const auto &fd : fds)
    if (fd.target.starts_with("pipe:[") || is_fifo(pid, fd))
      pipes.push_back({.fd = fd.number, .target = fd.target, .reads = fd.readable(), .writes = fd.writable()});
  std::sort(pipes.begin(), pipes.end(), [](const auto &a, const auto &b) { return a.fd < b.fd; });
  return pipes;
}

} // namespace

std::optional<RemainingProcess> examine(const Member &member, const Surroundings &around) {
  auto stat = os::read_stat(member.pid);
  if (!stat || stat->start_ticks != member.start_ticks)
    return {};
  RemainingProcess process;
  process.pid = member.pid;
  process.parent = member.parent;
  process.start_ticks = member.start_ticks;
  process.state = member.state;
  process.kind = classify(member, *stat, around);
  if (auto helper = around.helpers.find(member.pid); helper != around.helpers.end())
    process.role = helper->second;
  process.comm = stat->comm;
  pid_t thread = living_thread(member.pid, *stat);
  process.command_line = os::read_command_line(thread);
  std::vector<os::ProcFd> fds;
  if (member.state != ProcessState::zombie) {
    process.status = os::read_status(thread);
    fds = os::read_fds(thread).value_or(std::vector<os::ProcFd>{});
    process.waits = read_waits(member.pid, thread, fds, around.boundary);
    process.pipes = pipes_among(thread, fds);
    for (const auto &fd : fds)
      if (os::socket_inode(fd.target) || fd.target.starts_with("anon_inode:[eventfd"))
        process.held.push_back(identity_of(thread, fd));
      else if (auto terminal = terminal_of(fd); !terminal.empty())
        process.held.push_back(terminal);
    auto mappings = read_mappings(thread);
    process.memory_seen = !mappings.empty();
    process.shared_memory = shared_memory_of(mappings);
  }
  process.attributes = read_attributes(thread, *stat, process.status, process.command_line, fds);
  if (!around.share_outputs)
    process.attributes->outputs.clear();
  for (int looks = 1; looks < most_looks && runs(process) && sleeps_mostly(process); ++looks) {
    std::this_thread::sleep_for(milliseconds(1));
    process.waits = read_waits(member.pid, thread, fds, around.boundary);
  }
  return process;
}

void measure_polling(std::vector<RemainingProcess> &processes) {
  constexpr milliseconds watched{100};
  struct Polling {
    RemainingProcess *process;
    std::uint64_t before;
  };
  std::vector<Polling> polling;
  for (auto &process : processes) {
    bool has_timer = std::any_of(process.waits.begin(), process.waits.end(),
                                 [](const auto &wait) { return wait.wait == Wait::with_timer; });
    if (auto status = has_timer && process.status && process.status->voluntary_switches > 10
                          ? os::read_status(process.pid)
                          : std::nullopt)
      polling.push_back({&process, status->voluntary_switches});
  }
  if (polling.empty())
    return;
  auto since = Clock::now();
  std::this_thread::sleep_for(watched);
  for (const auto &[process, before] : polling)
    if (auto status = os::read_status(process->pid); status && status->voluntary_switches >= before)
      process->waits_per_second =
          static_cast<double>(status->voluntary_switches - before) * 1e3 / milliseconds_between(since, Clock::now());
}

std::optional<pid_t> pid_seen_from(int outer_proc, int pidfd) {
  try {
    auto info = os::read_file(fmt::format("self/fdinfo/{}", pidfd), outer_proc);
    auto at = info.find("\nPid:");
    if (at == info.npos)
      return {};
    auto line = std::string_view(info).substr(at + 5);
    auto pids = os::parse_pid_list(line.substr(0, line.find('\n')));
    return pids.size() == 1 && pids[0] > 0 ? std::optional(pids[0]) : std::nullopt; // 0, -1: not there, or reaped
  } catch (const os::SyscallError &) {
    return {}; // this /proc is not to be had any more: then nothing is said
  }
}

} // namespace pidleak::census

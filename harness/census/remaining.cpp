#include "harness/census/remaining.hpp"

#include "harness/census/holdings.hpp"
#include "harness/census/mappings.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"

#include <sys/stat.h>

#include <algorithm>
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
  std::string of(const std::string &link) {
    if (!os::socket_inode(link))
      return "";
    if (auto peer = os::peer_of_unix_socket(link); !peer.empty())
      return peer;
    if (!connections_)
      connections_.emplace(pid_);
    return connections_->peer_of(link);
  }

private:
  pid_t pid_;
  std::optional<os::TcpConnections> connections_;
};

Endpoint endpoint_of(pid_t pid, const os::ProcFd &fd, Peers &peers) {
  auto object = fd.target;
  if (object == "anon_inode:[pidfd]") {
    if (auto of = os::fdinfo_lines(fd.info, "Pid"); !of.empty() && !of[0].empty())
      object = "pid " + of[0][0];
  } else if (object.starts_with("anon_inode:[eventfd")) {
    object = identity_of(pid, fd);
  }
  return {.object = object, .peer = peers.of(object), .reads = fd.readable(), .writes = fd.writable()};
}

std::vector<Endpoint> endpoints_of(pid_t pid, const os::ProcSyscall &call, const std::vector<os::ProcFd> &fds,
                                   Peers &peers) {
  std::vector<Endpoint> endpoints;
  auto numbers = polls(call) ? polled_descriptors(pid, call, fds) : std::nullopt;
  for (int number : numbers.value_or(std::vector<int>{}))
    for (const auto &fd : fds)
      if (fd.number == number && fd.target != "anon_inode:[eventpoll]") // what that watches is told as well
        endpoints.push_back(endpoint_of(pid, fd, peers));
  return endpoints;
}

std::vector<ThreadWait> read_waits(pid_t pid, const std::vector<os::ProcFd> &fds, const Boundary *boundary) {
  std::vector<ThreadWait> waits;
  Peers peers(pid);
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
        auto lock = wait.wait == Wait::for_lock ? lock_of(pid, *call, boundary ? *boundary : Boundary()) : std::nullopt;
        wait.object = object_of(pid, *call, fds, lock);
        wait.peer = peers.of(wait.object);
        wait.polled = endpoints_of(pid, *call, fds, peers);
        wait.held_outside = may_be_held_outside(pid, *call, fds, lock, boundary);
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

bool is_fifo(const std::string &path) {
  struct stat info {};
  return path.starts_with('/') && ::stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
}

std::vector<OpenPipe> pipes_among(const std::vector<os::ProcFd> &fds) {
  std::vector<OpenPipe> pipes;
  for (const auto &fd : fds)
    if (fd.target.starts_with("pipe:[") || is_fifo(fd.target))
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
  process.command_line = os::read_command_line(member.pid);
  std::vector<os::ProcFd> fds;
  if (member.state != ProcessState::zombie) {
    process.status = os::read_status(member.pid);
    fds = os::read_fds(member.pid).value_or(std::vector<os::ProcFd>{});
    process.waits = read_waits(member.pid, fds, around.boundary);
    process.pipes = pipes_among(fds);
    for (const auto &fd : fds)
      if (os::socket_inode(fd.target) || fd.target.starts_with("anon_inode:[eventfd"))
        process.held.push_back(identity_of(member.pid, fd));
    auto mappings = read_mappings(member.pid);
    process.memory_seen = !mappings.empty();
    process.shared_memory = shared_memory_of(mappings);
  }
  process.attributes = read_attributes(member.pid, *stat, process.status, process.command_line, fds);
  if (!around.share_outputs)
    process.attributes->outputs.clear();
  for (int looks = 1; looks < most_looks && runs(process) && sleeps_mostly(process); ++looks) {
    std::this_thread::sleep_for(milliseconds(1));
    process.waits = read_waits(member.pid, fds, around.boundary);
  }
  return process;
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

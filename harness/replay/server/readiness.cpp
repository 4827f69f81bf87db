// When a server is ready, and who its master and its workers are.
#include "harness/base/pattern.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/listeners.hpp"
#include "harness/os/patience.hpp"
#include "harness/os/unix_sockets.hpp"
#include "harness/replay/server/running.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace pidleak::replay {

namespace fs = std::filesystem;
using census::Member;
using census::ProcessState;

namespace {

std::string command_line_of(pid_t pid) { return fmt::format("{}", fmt::join(os::read_command_line(pid), " ")); }

/// Its pid as the process itself sees it: it may be in a PID namespace of its own.
std::string pid_as_seen_by(pid_t pid) {
  auto status = os::read_status(pid);
  return std::to_string(!status || status->namespace_pids.empty() ? pid : status->namespace_pids.back());
}

} // namespace

std::map<pid_t, std::string> RunningServer::helpers() const {
  std::map<pid_t, std::string> helpers;
  for (const auto &text : server_.helpers) {
    Pattern pattern(text);
    for (const auto &member : census::walk_once(tree_->scope()))
      if (member.pid != master().pid() && pattern.is_in(command_line_of(member.pid)))
        helpers[member.pid] = text;
  }
  return helpers;
}

bool RunningServer::was_there_before(const Member &member) const {
  return std::find(earlier_.begin(), earlier_.end(), member) != earlier_.end();
}

std::vector<pid_t> RunningServer::workers() const {
  auto helping = helpers();
  std::vector<pid_t> pids;
  for (const auto &member : census::walk_once(tree_->scope()))
    if (member.pid != master().pid() && member.state != ProcessState::zombie && !helping.contains(member.pid) &&
        !was_there_before(member))
      pids.push_back(member.pid);
  return pids;
}

std::vector<pid_t> RunningServer::from_before() const {
  std::vector<pid_t> pids;
  for (const auto &member : census::walk_once(tree_->scope()))
    if (member.state != ProcessState::zombie && was_there_before(member))
      pids.push_back(member.pid);
  return pids;
}

/// The command has gone and left processes: it went into the background. Who has lost its parent, and has children, or
/// is the oldest, is the master then.
void RunningServer::find_master() {
  if (!command().process().has_exited() || (master_ && !master_->has_exited()) ||
      command().process().exit_status().value_or(os::WaitStatus{}) != os::WaitStatus{})
    return;
  auto members = census::walk_once(tree_->scope());
  auto is_parent = [&](const Member &member) {
    return std::any_of(members.begin(), members.end(), [&](const Member &m) { return m.parent == member.pid; });
  };
  const Member *found = nullptr;
  for (const auto &member : members)
    if (member.parent == tree_->scope().root && member.state != ProcessState::zombie && !was_there_before(member) &&
        (!found || (is_parent(member) && !is_parent(*found))))
      found = &member;
  master_ = found ? os::ProcessRef::open(found->pid) : std::nullopt;
  if (!master_)
    return;
  tree_.emplace(tree_of(inside_, master_->pid()));
  for (pid_t pid : left_out_)
    tree_->leave_out(pid);
}

/// What of its readiness does not hold yet, but for the answer to a request; nothing: all else does.
std::optional<std::string> RunningServer::missing_before_answer() const {
  const auto &ready = server_.ready;
  auto pids = workers();
  auto wanted = ready.children == ServerReady::as_workers ? plan_.scenario.conditions.workers : ready.children;
  if (std::cmp_less(pids.size(), wanted))
    return fmt::format("{} of {} workers are there", pids.size(), wanted);
  if (ready.port != 0 && !os::is_listening(ready.port))
    return fmt::format("no socket listens on port {}", ready.port);
  if (!ready.file.empty() && !fs::exists(fill(ready.file)))
    return fmt::format("{} is not there", fill(ready.file));
  if (!ready.each.empty())
    for (pid_t pid : pids)
      if (auto path = ServerDescription::fill(fill(ready.each), {{"pid", pid_as_seen_by(pid)}}); !fs::exists(path))
        return fmt::format("{} is not there", path);
  if (!ready.line.empty() && !said_line_)
    return fmt::format("no line of its output matches \"{}\"", ready.line);
  return {};
}

/// Nothing: it is ready.
std::optional<std::string> RunningServer::missing() const {
  auto lacks = missing_before_answer();
  if (!lacks && waits_for_answer())
    return fmt::format("{} was not answered", server_.ready.request);
  return lacks;
}

bool RunningServer::is_ready() {
  if (!server_.ready.line.empty()) {
    Pattern pattern(server_.ready.line);
    for (const auto &line : command().take_lines())
      said_line_ = said_line_ || pattern.is_in(line);
  }
  if (missing_before_answer())
    return false;
  if (waits_for_answer() && (!ready_request_ || ready_request_->state() == Request::State::dropped))
    ready_request_ = request(server_.ready.request);
  if (ready_request_ && ready_request_->state() == Request::State::answered)
    answered_ = true;
  return !waits_for_answer();
}

std::string RunningServer::what_is_missing() {
  auto text = missing().value_or("its processes come and go");
  std::vector<std::string> addresses;
  for (const auto &member : census::walk_once(tree_->scope())) {
    std::vector<std::uint64_t> inodes;
    for (const auto &fd : os::read_fds(member.pid).value_or(std::vector<os::ProcFd>{}))
      if (auto inode = os::socket_inode(fd.target))
        inodes.push_back(*inode);
    for (auto &address : os::listening_addresses(member.pid, inodes))
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
        addresses.push_back(std::move(address));
  }
  if (server_.ready.port != 0 && !addresses.empty())
    text += fmt::format("; it listens on {}", fmt::join(addresses, ", "));
  return text;
}

bool RunningServer::wait_until_ready() {
  auto deadline = os::Patience::of(plan_.step_bound);
  Backoff backoff(std::chrono::milliseconds(5), std::chrono::milliseconds(50));
  auto is_gone = [&] {
    find_master();
    return command().process().has_exited() && !master_;
  };
  while (!is_gone() && !deadline.passed()) {
    if (is_ready() && wait_until_same()) {
      timeline_.note("ready", master().pid(), fmt::format("{} workers", workers().size()));
      return true;
    }
    wait(backoff.next(), {command().process().pidfd()});
  }
  command().read();
  auto said = command().last_line();
  auto words = said.empty() ? ", and it has written nothing" : "; the last that it wrote: " + said;
  if (is_gone()) {
    auto status = command().process().exit_status();
    why_ = fmt::format("the command {} before it was ready{}", status ? status->text() : "ended", words);
  } else {
    why_ = fmt::format("not ready within {:.0f} s: {}{}", static_cast<double>(plan_.step_bound.count()) / 1000,
                       what_is_missing(), words);
  }
  return false;
}

bool RunningServer::wait_until_ready_again() {
  answered_ = false;
  ready_request_.reset();
  return wait_until_ready();
}

/// Looks in turn that see the same processes, none of which runs: two, or more where it is not known how many there
/// will be.
bool RunningServer::wait_until_same() {
  auto deadline = Deadline::after(std::chrono::seconds(3)); // a server may be busy by itself: then it is ready as it is
  Backoff backoff(std::chrono::milliseconds(20), std::chrono::milliseconds(100));
  auto look = [&] { return census::walk_once(tree_->scope()); };
  int wanted = server_.ready.children == 0 ? 10 : 1, same = 0;
  for (auto before = look();;) {
    wait(backoff.next(), {master().pidfd()});
    auto now = look();
    bool none_runs = std::none_of(now.begin(), now.end(), [](const Member &m) {
      return m.state == ProcessState::running || m.state == ProcessState::uninterruptible;
    });
    find_master();
    if (master().has_exited() || !is_ready())
      return false;
    same = none_runs && census::agree(before, now) ? same + 1 : 0;
    if (same == wanted || deadline.passed())
      return true;
    before = std::move(now);
  }
}

void RunningServer::hold_processes() {
  held_.clear();
  if (auto process = os::ProcessRef::open(master().pid()))
    held_.push_back({.process = std::move(*process), .is_master = true});
  for (pid_t pid : workers())
    if (auto process = os::ProcessRef::open(pid))
      held_.push_back({.process = std::move(*process), .is_master = false});
}

} // namespace pidleak::replay

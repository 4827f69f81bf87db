#include "harness/replay/running_server.hpp"

#include "harness/base/pattern.hpp"
#include "harness/census/waits.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/listeners.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/unix_sockets.hpp"
#include "harness/replay/subject.hpp"
#include "harness/replay/verdict.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace pidleak::replay {

namespace fs = std::filesystem;
using census::Member;
using census::ProcessState;
using reports::Verdict;

namespace {

constexpr int upstream_port = 8001;
constexpr milliseconds helper_bound{60000}; // of a command that comes before the server

[[noreturn]] void give_up(const std::string &what) { throw Judged{Verdict::broken, what}; }

std::string command_line_of(pid_t pid) { return fmt::format("{}", fmt::join(os::read_command_line(pid), " ")); }

/// Its pid as the process itself sees it: it may be in a PID namespace of its own.
std::string pid_as_seen_by(pid_t pid) {
  auto status = os::read_status(pid);
  return std::to_string(!status || status->namespace_pids.empty() ? pid : status->namespace_pids.back());
}

/// The last line of what it wrote: most often the reason.
std::string last_line(const std::string &output) {
  auto end = output.find_last_not_of("\n\r ");
  if (end == output.npos)
    return "";
  auto begin = output.find_last_of('\n', end);
  return output.substr(begin == output.npos ? 0 : begin + 1,
                       end - (begin == output.npos ? -1 : static_cast<long>(begin)));
}

os::UniqueFd listen_on(int port) {
  auto fd = os::UniqueFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 || ::listen(fd.get(), 4) != 0)
    os::throw_errno("bind(127.0.0.1:{}) of the upstream", port);
  return fd;
}

} // namespace

RunningServer::RunningServer(const Plan &plan, const Inside &inside, Timeline &timeline)
    : plan_(plan), server_(*plan.pool.server), inside_(inside), timeline_(timeline),
      directory_(inside.scratch + "/server"), gate_path_(directory_ + "/gate") {
  fs::create_directory(directory_);
  if (::mkfifo(gate_path_.c_str(), 0666) != 0)
    os::throw_errno("mkfifo({})", gate_path_);
  for (const auto &[name, text] : server_.files)
    std::ofstream(directory_ + "/" + name) << fill(text);
  if (const auto *account = server_.user.empty() ? nullptr : ::getpwnam(server_.user.c_str()); ::geteuid() == 0) {
    uid_t user = account ? account->pw_uid : 0;
    for (const auto &path : {directory_, gate_path_, inside_.scratch + "/tmp"})
      if (::chown(path.c_str(), user, static_cast<gid_t>(-1)) != 0)
        os::throw_errno("chown({})", path);
  }
  if (server_.busy_by == BusyBy::upstream)
    upstream_ = listen_on(upstream_port);
  for (const auto &command : server_.before)
    run_before(command);
  if (!server_.beside.empty())
    start_beside();
}

std::map<std::string, std::string> RunningServer::values() const {
  return {{"app", server_.directory},
          {"dir", directory_},
          {"gate", gate_path_},
          {"port", std::to_string(server_.port)},
          {"upstream", fmt::format("127.0.0.1:{}", upstream_port)},
          {"workers", std::to_string(plan_.scenario.conditions.workers)}};
}

Words RunningServer::fill(const Words &words) const {
  Words filled;
  for (const auto &word : words)
    filled.push_back(fill(word));
  return filled;
}

Start RunningServer::start_of(const Words &command) const {
  Start start{.command = fill(command), .directory = directory_, .user = server_.user};
  if (!server_.working_directory.empty())
    start.directory = fill(server_.working_directory);
  for (const auto &[name, value] : server_.environment)
    start.environment[name] = fill(value);
  return start;
}

void RunningServer::run_before(const Words &command) try {
  Started before(start_of(command));
  auto deadline = Deadline::after(helper_bound);
  while (!before.process().has_exited() && !deadline.passed()) {
    pollfd fds[] = {{.fd = inside_.lifeline, .events = POLLIN, .revents = 0},
                    {.fd = before.output_fd(), .events = POLLIN, .revents = 0},
                    {.fd = before.process().pidfd(), .events = POLLIN, .revents = 0}};
    ::poll(fds, 3, deadline.left_ms());
    if (fds[0].revents)
      throw LifelineCut();
    before.read();
  }
  auto status = os::try_reap(before.process());
  if (status != os::WaitStatus{})
    give_up(fmt::format("before the server: {} {}: {}", command.front(), status ? status->text() : "did not end",
                        last_line(before.output())));
} catch (const std::runtime_error &e) {
  give_up(fmt::format("before the server: {}", e.what()));
}

void RunningServer::start_beside() try {
  beside_.emplace(start_of(server_.beside));
  left_out_.push_back(beside_->process().pid());
  auto deadline = Deadline::after(helper_bound);
  Backoff backoff;
  while (server_.beside_port != 0 && !os::is_listening(server_.beside_port)) {
    if (beside_->process().has_exited() || deadline.passed())
      give_up(fmt::format("beside the server: {} did not come up: {}", server_.beside.front(),
                          last_line(beside_->output())));
    wait(backoff.next(), {beside_->process().pidfd()});
  }
} catch (const std::runtime_error &e) {
  give_up(fmt::format("beside the server: {}", e.what()));
}

void RunningServer::start() {
  if (server_.port != 0 && commands_.empty() && os::is_listening(server_.port))
    give_up(
        fmt::format("port {} is taken already: a process that is no part of this replay listens there", server_.port));
  auto start = start_of(server_.command);
  start.sigterm = plan_.scenario.conditions.sigterm;
  start.as_pid_1 = plan_.scenario.as_pid_1;
  master_.reset();
  said_line_ = false;
  ready_request_.reset();
  if (!commands_.empty()) {
    answered_ = true; // one from before may answer, and would be changed by it
    earlier_ = census::walk_once(tree_->scope());
    earlier_tree_ = std::move(tree_);
  }
  try {
    commands_.emplace_back(start);
  } catch (const std::runtime_error &e) {
    give_up(e.what());
  }
  tree_.emplace(tree_of(inside_, command().process().pid()));
  for (pid_t pid : left_out_)
    tree_->leave_out(pid);
  command_line_ = start.command;
  timeline_.note("subject-started", command().process().pid(), fmt::format("{}", fmt::join(command_line_, " ")));
}

// --- ready -----------------------------------------------------------------------------------------------------------

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

/// What of its readiness does not hold yet; nothing: it is ready.
std::optional<std::string> RunningServer::missing() const {
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
  if (!ready.request.empty() && !answered_)
    return fmt::format("{} was not answered", ready.request);
  return {};
}

bool RunningServer::is_ready() {
  if (!server_.ready.line.empty()) {
    Pattern pattern(server_.ready.line);
    for (const auto &line : command().take_lines())
      said_line_ = said_line_ || pattern.is_in(line);
  }
  auto lacks = missing();
  bool only_answer = lacks && !answered_ && !server_.ready.request.empty() && lacks->ends_with("was not answered");
  if (only_answer && (!ready_request_ || ready_request_->state() == Request::State::dropped))
    ready_request_ = request(server_.ready.request);
  if (ready_request_ && ready_request_->state() == Request::State::answered)
    answered_ = true;
  return !missing();
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
  auto deadline = Deadline::after(plan_.step_bound);
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
  auto said = last_line(command().output());
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

// --- requests --------------------------------------------------------------------------------------------------------

std::unique_ptr<Request> RunningServer::request(const std::string &path) {
  if (server_.request.empty())
    return std::make_unique<Request>(server_.port, path);
  auto start = start_of(server_.request);
  for (auto &word : start.command)
    word = ServerDescription::fill(word, {{"path", path}});
  try {
    auto asked = std::make_unique<Request>(start);
    left_out_.push_back(asked->pid());
    tree_->leave_out(asked->pid());
    return asked;
  } catch (const std::runtime_error &e) {
    give_up(fmt::format("to ask the server: {}", e.what()));
  }
}

std::optional<std::string> RunningServer::ask(const std::string &path, milliseconds at_most) {
  auto deadline = Deadline::after(at_most);
  asking_ = request(path);
  while (asking_->state() == Request::State::pending && !deadline.passed())
    wait(std::chrono::duration_cast<std::chrono::microseconds>(deadline.left()));
  auto asked = std::move(asking_);
  if (asked->state() != Request::State::answered)
    return {};
  return asked->answer();
}

/// Which process of the server has this open.
std::optional<pid_t> RunningServer::find_holder(const std::string &target) const {
  if (target.empty())
    return {};
  for (const auto &member : census::walk_once(tree_->scope()))
    for (const auto &fd : os::read_fds(member.pid).value_or(std::vector<os::ProcFd>{}))
      if (fd.target == target)
        return member.pid;
  return {};
}

/// The process that holds the request, once it is proven that it does.
std::optional<pid_t> RunningServer::busy_worker() {
  switch (server_.busy_by) {
  case BusyBy::nothing:
    break;
  case BusyBy::gate:
  case BusyBy::always:
    if (!gate_) // ENXIO: no process reads it as yet
      gate_ = os::UniqueFd::adopt(::open(gate_path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    return gate_ ? find_holder(gate_path_) : std::nullopt;
  case BusyBy::upstream:
    if (!upstream_connection_)
      upstream_connection_ =
          os::UniqueFd::adopt(::accept4(upstream_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (upstream_connection_) {
      char link[64] = {};
      if (::readlink(fmt::format("/proc/self/fd/{}", upstream_connection_.get()).c_str(), link, sizeof link - 1) > 0)
        return find_holder(os::TcpConnections(::getpid()).peer_of(link));
    }
    break;
  case BusyBy::itself:
    return find_holder(os::TcpConnections(::getpid()).peer_of(busy_->socket_link()));
  }
  return {};
}

std::optional<pid_t> RunningServer::make_busy(const std::string &path) {
  if (!path.empty())
    busy_ = request(path);
  auto deadline = Deadline::after(plan_.step_bound);
  Backoff backoff;
  while (!deadline.passed() && (!busy_ || busy_->state() == Request::State::pending)) {
    if (auto pid = busy_worker()) {
      timeline_.note("busy", *pid, path);
      return pid;
    }
    wait(backoff.next());
  }
  auto what = !busy_ ? std::string("no worker reads the gate")
              : busy_->state() == Request::State::answered
                  ? fmt::format("it was answered at once: {}", busy_->answer().substr(0, 80))
              : busy_->state() == Request::State::dropped ? busy_->why()
                                                          : std::string("no worker was seen with it");
  why_ = fmt::format("{} does not keep a worker busy: {}", path, what);
  return {};
}

void RunningServer::release() {
  gate_.reset(); // its reader comes to the end of it
  if (upstream_connection_) {
    std::string body(4 << 20, 'x'); // more than an OOM trap has room for
    auto answer = fmt::format("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.size()) + body;
    ::fcntl(upstream_connection_.get(), F_SETFL, 0);
    timeval bound{.tv_sec = 2, .tv_usec = 0};
    ::setsockopt(upstream_connection_.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    for (std::size_t put = 0; put < answer.size();) {
      auto now = ::send(upstream_connection_.get(), answer.data() + put, answer.size() - put, MSG_NOSIGNAL);
      if (now <= 0)
        break; // the worker has gone
      put += static_cast<std::size_t>(now);
    }
    upstream_connection_.reset();
  }
  timeline_.note("tasks-released");
}

// --- waiting ---------------------------------------------------------------------------------------------------------

void RunningServer::wait(std::chrono::microseconds at_most, const std::vector<int> &exits) {
  std::vector<Request *> requests;
  for (auto *one : {ready_request_.get(), busy_.get(), asking_.get()})
    if (one && one->fd() >= 0)
      requests.push_back(one);
  std::vector<pollfd> fds = {
      {.fd = inside_.lifeline, .events = POLLIN, .revents = 0},
      {.fd = beside_ ? beside_->output_fd() : -1, .events = POLLIN, .revents = 0},
  };
  for (const auto &one : commands_)
    fds.push_back({.fd = one.output_fd(), .events = POLLIN, .revents = 0});
  for (const auto *one : requests)
    fds.push_back({.fd = one->fd(), .events = one->events(), .revents = 0});
  for (const auto &one : held_)
    fds.push_back({.fd = one.left_at_ms ? -1 : one.process.pidfd(), .events = POLLIN, .revents = 0});
  for (int pidfd : exits)
    fds.push_back({.fd = pidfd, .events = POLLIN, .revents = 0});
  timespec timeout{.tv_sec = at_most.count() / 1000000, .tv_nsec = at_most.count() % 1000000 * 1000};
  if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) < 0 && errno != EINTR)
    os::throw_errno("ppoll({} descriptors)", fds.size());
  if (fds[0].revents)
    throw LifelineCut();
  if (beside_)
    beside_->read();
  for (auto &one : commands_)
    one.read();
  for (auto *one : requests)
    one->go_on();
  note_exits();
}

void RunningServer::note_exits() {
  for (auto &one : held_)
    if (!one.left_at_ms && one.process.has_exited()) {
      one.left_at_ms = timeline_.now_ms();
      auto status = one.process.exit_status();
      timeline_.note(
          "exited", one.process.pid(),
          fmt::format("{}{}", one.is_master ? "the master" : "a worker", status ? ", " + status->text() : ""));
    }
}

census::Settled RunningServer::settle(milliseconds bound) {
  auto deadline = Deadline::after(bound);
  return census::settle({.see = [&] { return tree_->see([](pid_t) { return false; }); },
                         .rest = [&](const auto &walk) { return tree_->rest(walk); },
                         .wait =
                             [&](std::chrono::microseconds at_most, const std::vector<int> &exits) {
                               wait(at_most, exits);
                               return false; // what a server says changes nothing
                             },
                         .is_over = [&] { return deadline.passed(); }});
}

} // namespace pidleak::replay

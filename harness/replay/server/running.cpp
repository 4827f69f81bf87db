#include "harness/replay/server/running.hpp"

#include "harness/os/accounts.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/poll.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/subject.hpp"
#include "harness/replay/verdict.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace pidleak::replay {

namespace fs = std::filesystem;
using reports::Verdict;

namespace {

constexpr int upstream_port = 8001;
constexpr milliseconds helper_bound{60000}; // of a command that comes before the server

[[noreturn]] void give_up(const std::string &what) { throw Judged{Verdict::broken, what}; }

std::string words_of(const Started &started) {
  auto said = started.last_line();
  return said.empty() ? ", and has written nothing" : ": " + said;
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
  std::vector<std::string> made = {directory_, gate_path_, inside_.scratch + "/tmp"};
  for (const auto &[name, text] : server_.files) {
    auto path = fs::path(directory_) / name;
    for (auto parent = path.parent_path(); parent != directory_; parent = parent.parent_path())
      made.push_back(parent);
    fs::create_directories(path.parent_path());
    std::ofstream(path) << fill(text);
  }
  if (::geteuid() == 0) {
    auto account = os::find_account(server_.user);
    uid_t user = account ? account->user : 0;
    ::chmod(inside_.scratch.c_str(), 0711); // a temporary directory is its maker's alone
    for (const auto &path : made)
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
    give_up(fmt::format("before the server: {} {}{}", command.front(), status ? status->text() : "did not end",
                        words_of(before)));
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
      give_up(fmt::format("beside the server: {} did not come up{}", server_.beside.front(), words_of(*beside_)));
    wait(backoff.next(), {beside_->process().pidfd()});
  }
} catch (const std::runtime_error &e) {
  give_up(fmt::format("beside the server: {}", e.what()));
}

void RunningServer::start() {
  if (server_.port != 0 && commands_.empty() && os::is_listening(server_.port))
    give_up(fmt::format("port {} is taken already: a process that is no part of this replay listens there. End it, or "
                        "give the replay a network of its own (--network own)",
                        server_.port));
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
  os::poll_for(fds, at_most);
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
      const auto &status = one.status = one.process.exit_status();
      timeline_.note(
          "exited", one.process.pid(),
          fmt::format("{}{}", one.is_master ? "the master" : "a worker", status ? ", " + status->text() : ""));
    }
}

/// Who waited for room in the output's pipe waited for this process.
census::Rest RunningServer::rest(const census::Walk &walk) {
  auto written = [this] {
    std::size_t bytes = beside_ ? beside_->written() : 0;
    for (const auto &one : commands_)
      bytes += one.written();
    return bytes;
  };
  auto before = written();
  auto rest = tree_->rest(walk);
  wait(std::chrono::microseconds(0));
  if (rest.certain && written() != before)
    return {.certain = false, .why_not = "it writes to its output"};
  return rest;
}

census::Settled RunningServer::settle(milliseconds bound) {
  auto deadline = Deadline::after(bound);
  auto settled = census::settle({.see = [&] { return tree_->see([](pid_t) { return false; }); },
                                 .rest = [&](const auto &walk) { return rest(walk); },
                                 .wait =
                                     [&](std::chrono::microseconds at_most, const std::vector<int> &exits) {
                                       wait(at_most, exits);
                                       return false; // what a server says changes nothing
                                     },
                                 .is_over = [&] { return deadline.passed(); }});
  note_exits(); // of those that this look was the first to miss
  return settled;
}

} // namespace pidleak::replay

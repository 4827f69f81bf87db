// What a server is asked, and how one of its workers is kept busy.
#include "harness/os/inet_sockets.hpp"
#include "harness/os/patience.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/server/running.hpp"
#include "harness/replay/verdict.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace pidleak::replay {
namespace {

constexpr milliseconds at_once{1000}; // a request that takes long is not answered within that

/// Why a request does not keep a worker busy.
std::string what_came_of(const Request &request) {
  switch (request.state()) {
  case Request::State::answered:
    return fmt::format("it was answered at once{}{}, and is to take long: {}", request.status().empty() ? "" : " with ",
                       request.status(), request.answer().substr(0, 80));
  case Request::State::dropped:
    return request.why();
  case Request::State::pending:
    break;
  }
  return "no worker was seen with it";
}

} // namespace

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
    throw Judged{reports::Verdict::broken, fmt::format("to ask the server: {}", e.what())};
  }
}

void RunningServer::hear_from(const Request &request, milliseconds at_most) {
  auto deadline = Deadline::after(at_most);
  while (request.state() == Request::State::pending && !deadline.passed())
    wait(std::chrono::duration_cast<std::chrono::microseconds>(deadline.left()));
}

std::optional<std::string> RunningServer::ask(const std::string &path, milliseconds at_most) {
  asking_ = request(path);
  hear_from(*asking_, at_most);
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
  auto deadline = os::Patience::of(plan_.step_bound);
  Backoff backoff;
  while (!deadline.passed() && (!busy_ || busy_->state() == Request::State::pending)) {
    auto pid = busy_worker();
    if (pid && server_.busy_by == BusyBy::itself)
      hear_from(*busy_, at_once);
    if (pid && (!busy_ || busy_->state() == Request::State::pending)) {
      timeline_.note("busy", *pid, path);
      return pid;
    }
    wait(backoff.next());
  }
  auto asked = server_.request.empty() ? fmt::format("http://127.0.0.1:{}{}", server_.port, path) : path;
  why_ = busy_ ? fmt::format("{} does not keep a worker busy: {}", asked, what_came_of(*busy_))
               : "no worker is busy: none reads the gate";
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

} // namespace pidleak::replay

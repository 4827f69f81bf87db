#include "harness/replay/server/request.hpp"

#include "harness/os/syscall_error.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace pidleak::replay {
namespace {

constexpr std::size_t longest_answer = 1 << 20;

/// Whether all is there that the head promises; an answer of HTTP/1.0 without a length ends with its connection.
bool is_whole(const std::string &got) {
  auto body = got.find("\r\n\r\n");
  if (body == got.npos)
    return false;
  auto head = got.substr(0, body);
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
  auto length = head.find("\r\ncontent-length:");
  return length != head.npos &&
         got.size() - body - 4 >= std::strtoul(head.c_str() + length + std::strlen("\r\ncontent-length:"), nullptr, 10);
}

} // namespace

Request::Request(int port, const std::string &path)
    : port_(port),
      to_write_(fmt::format("GET {} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", path, port)) {
  connect_to(AF_INET);
}

Request::Request(const Start &command) : command_(std::in_place, command) {}

int Request::fd() const {
  if (state_ != State::pending)
    return -1;
  if (command_) // what it says, and then its end
    return command_->output_fd() >= 0 ? command_->output_fd() : command_->process().pidfd();
  return socket_.get();
}

short Request::events() const { return static_cast<short>(to_write_.empty() ? POLLIN : POLLOUT); }

bool Request::connect_to(int family) {
  socket_ = os::UniqueFd::adopt(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  auto port = htons(static_cast<std::uint16_t>(port_));
  socklen_t size = sizeof(sockaddr_in);
  if (family == AF_INET) {
    auto &v4 = reinterpret_cast<sockaddr_in &>(address);
    v4.sin_port = port;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    auto &v6 = reinterpret_cast<sockaddr_in6 &>(address);
    v6.sin6_port = port;
    v6.sin6_addr = in6addr_loopback;
    size = sizeof v6;
  }
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr *>(&address), size) == 0 || errno == EINPROGRESS)
    return true;
  int error = errno;
  if (family == AF_INET && error == ECONNREFUSED && connect_to(AF_INET6))
    return true;
  end(State::dropped, fmt::format("no connection: {}", std::strerror(error)));
  return false;
}

void Request::end(State state, const std::string &why) {
  state_ = state;
  why_ = why;
  socket_.reset();
}

void Request::go_on() {
  if (state_ != State::pending)
    return;
  if (command_) {
    command_->read();
    if (command_->process().has_exited())
      judge_command();
    return;
  }
  to_write_.empty() ? read() : write();
}

/// Where it was reaped before this looked, and the kernel does not tell any more, its words have to do.
void Request::judge_command() {
  command_->read();
  answer_ = command_->output();
  auto status = command_->process().exit_status();
  bool did = status ? *status == os::WaitStatus{} : !answer_.empty();
  did ? end(State::answered)
      : end(State::dropped,
            fmt::format("the command that asked {}: {}", status ? status->text() : "has ended", answer_));
}

void Request::write() {
  ssize_t put = ::send(socket_.get(), to_write_.data(), to_write_.size(), MSG_NOSIGNAL);
  if (put >= 0)
    to_write_.erase(0, static_cast<std::size_t>(put));
  else if (errno != EAGAIN && errno != EINTR)
    end(State::dropped, fmt::format("no connection: {}", std::strerror(errno)));
}

void Request::read() {
  char buffer[16384];
  ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  if (got > 0) {
    got_.append(buffer, static_cast<std::size_t>(got));
    if (is_whole(got_) || got_.size() > longest_answer)
      judge_answer();
  } else if (got == 0) {
    judge_answer();
  } else if (errno != EAGAIN && errno != EINTR) {
    end(State::dropped, fmt::format("the connection was lost: {}", std::strerror(errno)));
  }
}

void Request::judge_answer() {
  auto body = got_.find("\r\n\r\n");
  if (body == got_.npos)
    return end(State::dropped, "the connection was closed without an answer");
  answer_ = got_.substr(body + 4);
  auto line = got_.substr(0, got_.find("\r\n"));
  if (auto code = line.find(' '); code != line.npos)
    status_ = line.substr(code + 1);
  status_.starts_with('5') ? end(State::dropped, "it was answered with " + status_) : end(State::answered);
}

std::string Request::socket_link() const {
  char link[64] = {};
  if (!socket_ || ::readlink(fmt::format("/proc/self/fd/{}", socket_.get()).c_str(), link, sizeof link - 1) <= 0)
    return "";
  return link;
}

} // namespace pidleak::replay

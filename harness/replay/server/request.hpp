// One request to a server: over HTTP, or by a command that knows how to ask.
#pragma once

#include "harness/replay/server/process.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// Nothing in it blocks: its owner waits for fd(), and then calls go_on().
class Request {
public:
  enum class State { pending, answered, dropped };

  /// GET of a path on 127.0.0.1, or ::1 where nothing listens there.
  Request(int port, const std::string &path);
  /// By a command that prints the answer. It is a child of this process, and no part of the server.
  explicit Request(const Start &command);

  State state() const { return state_; }
  int fd() const;
  short events() const;
  void go_on();
  /// What was answered, without the head of HTTP.
  const std::string &answer() const { return answer_; }
  /// Of an answer over HTTP: `404 Not Found`.
  const std::string &status() const { return status_; }
  /// Why it was dropped: `the connection was closed without an answer`.
  const std::string &why() const { return why_; }
  /// The socket's link in /proc, `socket:[INODE]`; empty: a command asks.
  std::string socket_link() const;
  /// The command that asks; 0: none.
  pid_t pid() const { return command_ ? command_->process().pid() : 0; }

private:
  bool connect_to(int family);
  void write();
  void read();
  void end(State state, const std::string &why = "");
  void judge_answer();
  void judge_command();

  int port_ = 0;
  std::string to_write_, got_, answer_, status_, why_;
  os::UniqueFd socket_;
  std::optional<Started> command_;
  State state_ = State::pending;
};

} // namespace pidleak::replay

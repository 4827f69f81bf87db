// The processes that a replay of a server starts: the server's command, and what helps beside it.
#pragma once

#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/protocol/vocabulary.hpp"

#include <map>
#include <string>
#include <vector>

namespace pidleak::replay {

struct Start {
  std::vector<std::string> command; // looked up on PATH
  std::map<std::string, std::string> environment = {};
  std::string directory = {};
  std::string user = {};               // that root becomes; empty: this one
  Sigterm sigterm = Sigterm::default_; // across exec only ignored and blocked survive
  bool as_pid_1 = false;               // the first of a PID namespace with a /proc of its own, as in a container
};

/// A child of this process, and what it and those below it write: the last of it is kept, nothing ever blocks them.
class Started {
public:
  /// Throws std::runtime_error that says why it can't be started: the program, the directory, the user.
  explicit Started(const Start &what);

  const os::ProcessRef &process() const { return process_; }
  /// Readable when there is something to read(); -1: it has closed its output.
  int output_fd() const { return is_open_ ? output_.read_end.get() : -1; }
  void read();
  const std::string &output() const { return text_; }
  /// How many bytes were read so far.
  std::size_t written() const { return written_; }
  /// Its last line that is not empty: most often the reason.
  std::string last_line() const;
  /// Lines that were whole since the last call; long ones are cut.
  std::vector<std::string> take_lines() { return std::exchange(lines_, {}); }

private:
  os::Pipe output_;
  os::ProcessRef process_;
  bool is_open_ = true;
  std::string text_, line_;
  std::size_t written_ = 0;
  std::vector<std::string> lines_;
};

} // namespace pidleak::replay

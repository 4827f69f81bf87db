// The subject as the driver sees it: a child process, a stream of commands to it, and a stream of events from it
// and from its workers.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/protocol/message.hpp"
#include "harness/replay/channel.hpp"
#include "harness/replay/turn.hpp"

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// The subject can't be worked with: it died, fell silent, or speaks no protocol. Becomes the verdict `broken`.
class SubjectFailure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class Subject {
public:
  /// Starts it, with standard streams of its own. `lifeline`: see Inside.
  Subject(const std::string &program, const std::vector<std::string> &arguments, const Channel &channel, int lifeline);

  void send(const protocol::Message &command);

  /// The next event, from the subject or a worker; nothing if none comes within the time, or one of `exits` (pidfds)
  /// becomes readable. Throws SubjectFailure (exited, garbage, a flood) and LifelineCut.
  std::optional<protocol::Message> next(std::chrono::microseconds at_most, const std::vector<int> &exits = {});

  const os::ProcessRef &process() const { return process_; }
  /// The last few KiB that it and its workers wrote to standard error.
  const std::string &error_output() const { return error_output_; }
  /// How many bytes of it were read so far.
  std::size_t errors_written() const { return errors_written_; }
  /// It is expected to end from now on: next() does not call that a failure.
  void expect_exit() { exit_expected_ = true; }

private:
  struct Stream {
    int fd;
    protocol::LineBuffer lines;
    bool open = true;
  };
  bool read_into(Stream &stream);
  void read_error_output();
  std::optional<protocol::Message> take_line();
  std::string how_it_ended() const;
  [[noreturn]] void fail(const std::string &what);

  os::Pipe commands_, events_, errors_;
  os::ProcessRef process_;
  int lifeline_;
  Stream subject_, workers_;
  std::string error_output_;
  std::size_t errors_written_ = 0;
  bool errors_open_ = true;
  std::size_t messages_ = 0;
  bool exit_expected_ = false;
};

} // namespace pidleak::replay

// The driver's end of the channel to the workers: a directory with one FIFO for what they report and one for the
// orders at each gate. The other end is workers/task.hpp; harness/protocol/PROTOCOL.md describes it.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <map>
#include <string>
#include <vector>

namespace pidleak::replay {

/// Owns the FIFOs' descriptors; the directory goes with the sandbox.
class Channel {
public:
  /// Makes `events`, the gates of tasks 0 to `tasks - 1`, and those of the named points. Throws SyscallError.
  Channel(std::string directory, int tasks, const std::vector<std::string> &points);

  const std::string &directory() const { return directory_; }
  int events_fd() const { return events_.get(); }

  /// The process that reads this gate next, or reads it now, gets the order. Each gate takes one order; others are
  /// dropped.
  void order(const std::string &gate, const std::string &what);
  /// From now on this process holds at `point`.
  void choose(const std::string &point, pid_t pid);

private:
  struct Gate {
    os::UniqueFd fd; // open for reading and writing: opening it never blocks
    bool ordered = false;
  };
  void make_gate(const std::string &name);

  std::string directory_;
  os::UniqueFd events_;
  std::map<std::string, Gate> gates_;
};

std::string task_gate(long long task);

} // namespace pidleak::replay

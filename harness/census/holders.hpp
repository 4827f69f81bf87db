// Who, of some processes, has in hand what another one waits for.
#pragma once

#include "harness/census/remaining.hpp"

#include <string>
#include <vector>

namespace pidleak::census {

using Processes = std::vector<const RemainingProcess *>;

class Holders {
public:
  /// `all` must outlive this.
  explicit Holders(const Processes &all) : all_(all) {}

  /// Null: it is none of them.
  const RemainingProcess *find(pid_t pid) const;
  /// Who could make it ready: has the other end of the pipe, FIFO, socket or terminal, or the same eventfd; is the
  /// process; or listens where a connection goes that none has accepted.
  std::vector<pid_t> of(const Endpoint &endpoint) const;
  /// Of a FIFO the path is told.
  bool is_fifo(const Endpoint &endpoint) const;
  /// Of `flock PATH` or `fcntl PATH`.
  std::vector<pid_t> of_file_lock(const std::string &lock) const;
  /// Those that map the memory of `lock DEVICE:INODE+OFFSET`, and do not wait for it: one of them may hold it.
  Processes of_lock(const std::string &lock) const;
  std::vector<pid_t> living_children(const RemainingProcess &process) const;

private:
  std::vector<pid_t> of_end(const std::string &pipe, bool OpenPipe::*end) const;
  std::vector<pid_t> of_identity(const std::string &identity) const;
  std::vector<pid_t> listeners_on(const std::string &address) const;
  const Processes &all_;
};

} // namespace pidleak::census

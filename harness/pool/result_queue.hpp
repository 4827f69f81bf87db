// The result queue: from every worker to the management thread, over one pipe with a lock on its write end.
#pragma once

#include "harness/pool/shared_locks.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace pidleak::pool {

struct Result {
  std::uint64_t id = 0;
  std::string value;
};

/// Blocks until the owner has room for it. `half_way` runs between the frame's two halves, with the lock held.
void put_result(SharedLocks &locks, int write_fd, const Result &result, const std::function<void()> &half_way);

/// The management thread's end.
class ResultReader {
public:
  /// `read_whole`: next() waits until a whole result has come, and so for ever if its writer died half way while
  /// others hold the pipe open. Otherwise it takes what is there, which needs a non-blocking descriptor.
  ResultReader(int read_fd, bool read_whole) : read_fd_(read_fd), read_whole_(read_whole) {}
  std::optional<Result> next();

private:
  int read_fd_;
  bool read_whole_;
  std::string buffer_;
};

} // namespace pidleak::pool

#include "harness/pool/result_queue.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace pidleak::pool {
namespace {

constexpr std::size_t most_at_once = 65536; // what a pipe holds: room for the whole rest each time would be too much

} // namespace

void put_result(SharedLocks &locks, int write_fd, const Result &result, const std::function<void()> &half_way) {
  std::array<std::uint64_t, 2> header = {result.id, result.value.size()};
  std::string frame(sizeof header, '\0');
  std::memcpy(frame.data(), header.data(), sizeof header);
  frame += result.value;
  auto half = frame.size() / 2;
  locks.result_lock.wait();
  bool owner_lives = os::write_all(write_fd, std::string_view(frame).substr(0, half));
  half_way();
  if (owner_lives)
    os::write_all(write_fd, std::string_view(frame).substr(half));
  locks.result_lock.post();
}

std::optional<Result> ResultReader::next() {
  std::array<std::uint64_t, 2> header;
  for (;;) {
    std::size_t wanted = sizeof header;
    if (buffer_.size() >= wanted) {
      std::memcpy(header.data(), buffer_.data(), sizeof header);
      wanted += header[1];
      if (buffer_.size() == wanted) {
        Result result{.id = header[0], .value = buffer_.substr(sizeof header)};
        buffer_.clear();
        return result;
      }
    }
    std::string part(std::min(wanted - buffer_.size(), most_at_once), '\0');
    ssize_t got = ::read(read_fd_, part.data(), part.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno == EAGAIN && !read_whole_)
      return {}; // the rest comes later, or never
    if (got < 0)
      os::throw_errno("read(result queue {})", read_fd_);
    if (got == 0)
      return {};
    buffer_.append(part, 0, static_cast<std::size_t>(got));
  }
}

} // namespace pidleak::pool

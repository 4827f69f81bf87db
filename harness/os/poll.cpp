#include "harness/os/poll.hpp"

#include "harness/os/syscall_error.hpp"

#include <cerrno>

namespace pidleak::os {

void poll_for(std::vector<pollfd> &fds, std::chrono::microseconds at_most) {
  auto us = at_most.count();
  timespec timeout{.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
  if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) < 0 && errno != EINTR)
    throw_errno("ppoll({} descriptors)", fds.size());
}

} // namespace pidleak::os

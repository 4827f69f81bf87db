// poll(2) with the bounds that backoffs and deadlines have.
#pragma once

#include <poll.h>

#include <chrono>
#include <vector>

namespace pidleak::os {

/// Waits until one of them is ready, the time is over, or a signal came; what is ready is in `revents`, ppoll(2).
/// Throws SyscallError.
void poll_for(std::vector<pollfd> &fds, std::chrono::microseconds at_most);

} // namespace pidleak::os

#include "harness/replay/turn.hpp"

#include "harness/os/syscall_error.hpp"
#include "harness/replay/sandbox.hpp"

#include <poll.h>

namespace pidleak::replay {

void Timeline::note(const std::string &event, std::optional<pid_t> pid, const std::string &detail) {
  events_.push_back({.at_ms = now_ms(), .event = event, .pid = pid, .detail = detail});
}

void wait_for_turn(const Inside &inside, Timeline &timeline) {
  auto since = Clock::now();
  pollfd events[] = {{.fd = inside.lifeline, .events = POLLIN, .revents = 0},
                     {.fd = inside.turn, .events = POLLIN, .revents = 0}};
  while (inside.turn >= 0 && events[1].revents == 0) {
    if (::poll(events, 2, -1) < 0 && errno != EINTR)
      os::throw_errno("poll(lifeline, turn)");
    if (events[0].revents)
      throw LifelineCut();
  }
  timeline.leave_out(Clock::now() - since);
}

} // namespace pidleak::replay

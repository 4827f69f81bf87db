#include "harness/replay/turn.hpp"

#include "harness/os/syscall_error.hpp"
#include "harness/replay/sandbox.hpp"

#include <poll.h>

namespace pidleak::replay {

Clock::duration wait_for_turn(const Inside &inside) {
  auto since = Clock::now();
  pollfd events[] = {{.fd = inside.lifeline, .events = POLLIN, .revents = 0},
                     {.fd = inside.turn, .events = POLLIN, .revents = 0}};
  while (inside.turn >= 0 && events[1].revents == 0) {
    if (::poll(events, 2, -1) < 0 && errno != EINTR)
      os::throw_errno("poll(lifeline, turn)");
    if (events[0].revents)
      throw LifelineCut();
  }
  return Clock::now() - since;
}

} // namespace pidleak::replay

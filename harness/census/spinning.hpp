// Does nothing happen any more but a loop that turns?
//
// A pool that waits by asking again and again (CPython 3.7 to 3.11 at a full call queue) never comes to rest. While
// every other thread waits and none of them has run, what the loop asks for can't have changed, and what it has not
// done in some time on a CPU it will hardly do at all. The time is the CPU's, not the clock's: so a busy machine does
// not end the wait earlier.
#pragma once

#include "harness/base/deadline.hpp"
#include "harness/census/thread_look.hpp"

namespace pidleak::census {

class Spinning {
public:
  /// Looks again. True if, since an earlier look, no thread has run but those that were running at every look, and
  /// these have had a CPU for a tenth of a second and have waited for nothing.
  /// Looks every ten milliseconds at most, and says false in between: it is asked whenever anything moves.
  bool look(const std::vector<Member> &members);
  /// Whether a look now would do anything.
  bool is_due() const { return next_.passed(); }

private:
  static constexpr milliseconds pause{10};
  Deadline next_ = Deadline::after(pause);
  Looks first_;
};

} // namespace pidleak::census

#include "harness/census/settle.hpp"

#include "harness/census/leaving.hpp"

namespace pidleak::census {

Settled settle(const Settling &settling) {
  Backoff backoff(std::chrono::microseconds(500));
  for (;;) {
    while (settling.wait(std::chrono::microseconds(0), {})) {
    }
    auto sight = settling.see();
    if (sight.again && !settling.is_over()) {
      if (sight.again->count() > 0)
        settling.wait(*sight.again, {});
      continue;
    }
    Settled settled{.walk = std::move(sight.walk), .by = SettledBy::deadline, .why_not_quiescent = ""};
    const auto &walk = settled.walk;
    if (sight.to_leave.empty() && walk.hidden.empty() && (!settling.done || settling.done())) {
      settled.by = SettledBy::all_gone;
      return settled;
    }
    auto rest = !sight.no_rest.empty() ? Rest{.certain = false, .why_not = sight.no_rest}
                : walk.members.empty() ? Rest{.certain = false, .why_not = "what is left does not show in /proc"}
                : !walk.hidden.empty() ? Rest{.certain = false, .why_not = "not all may be seen in /proc"}
                : !walk.complete       ? Rest{.certain = false, .why_not = "the census does not see everything"}
                                       : settling.rest(walk);
    if (settling.wait(std::chrono::microseconds(0),
                      {})) // said before it came to rest: it may have been the last thing missing
      continue;
    if (rest.certain) {
      settled.by = SettledBy::quiescence;
      return settled;
    }
    if (settling.is_over()) {
      settled.why_not_quiescent = rest.why_not;
      return settled;
    }
    settling.wait(backoff.next(), Leaving(sight.to_leave).exits());
  }
}

} // namespace pidleak::census

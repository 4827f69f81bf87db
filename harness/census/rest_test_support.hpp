// For tests of what is at rest.
#pragma once

#include "harness/census/quiescence.hpp"
#include "harness/os/test_support.hpp"

namespace pidleak::testing {

/// Asks again while another test of this machine has set an alarm: meanwhile nothing is known.
inline census::Rest rest_below(const census::Scope &scope, const census::Boundary &boundary) {
  auto deadline = Deadline::after(hang_bound / 4);
  for (Backoff backoff;; os::wait_for_any_exit({}, backoff.next()))
    if (auto found = census::at_rest(census::walk_once(scope), scope, boundary);
        found.why_not.find("has set an alarm") == std::string::npos || deadline.passed())
      return found;
}

} // namespace pidleak::testing

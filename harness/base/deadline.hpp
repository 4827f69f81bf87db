// Every wait has a deadline. Time is CLOCK_MONOTONIC throughout.
#pragma once

#include <algorithm>
#include <chrono>

namespace pidleak {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

inline double milliseconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

/// In milliseconds and rounded up, as poll(2) wants it; 0 of what is negative.
inline int poll_ms(std::chrono::nanoseconds time) {
  return static_cast<int>(std::clamp<long long>(std::chrono::ceil<milliseconds>(time).count(), 0, 1 << 30));
}

/// A moment after which a wait gives up.
class Deadline {
public:
  static Deadline after(std::chrono::nanoseconds bound) { return Deadline(Clock::now() + bound); }
  static Deadline at(Clock::time_point moment) { return Deadline(moment); }

  bool passed() const { return Clock::now() >= moment_; }

  /// What is left, as poll(2) wants it; 0 when passed.
  int left_ms() const { return poll_ms(moment_ - Clock::now()); }

  std::chrono::nanoseconds left() const { return std::max(moment_ - Clock::now(), std::chrono::nanoseconds(0)); }

  Deadline sooner_of(Deadline other) const { return Deadline(std::min(moment_, other.moment_)); }

private:
  explicit Deadline(Clock::time_point moment) : moment_(moment) {}
  Clock::time_point moment_;
};

/// The waits of a poll that has no event to wait for: doubling from `first`, at most `most`.
class Backoff {
public:
  explicit Backoff(std::chrono::microseconds first = std::chrono::microseconds(200),
                   std::chrono::microseconds most = std::chrono::milliseconds(20))
      : next_(first), most_(most) {}
  std::chrono::microseconds next() {
    auto now = next_;
    next_ = std::min(next_ * 2, most_);
    return now;
  }

private:
  std::chrono::microseconds next_, most_;
};

} // namespace pidleak

// How far long work is: one line on standard error that is written over and over; nothing where that is no terminal.
#pragma once

#include "harness/base/deadline.hpp"

#include <string>

namespace pidleak::cli {

class Progress {
public:
  /// `wanted`: whether there is enough to do for a line.
  explicit Progress(bool wanted = true);
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  ~Progress() { clear(); }

  void show(const std::string &line) const;
  /// Takes the line away, before another text is written there.
  void clear() const;

  /// Since the work began.
  double seconds() const { return milliseconds_between(start_, Clock::now()) / 1000; }

private:
  bool shown_;
  Clock::time_point start_ = Clock::now();
};

} // namespace pidleak::cli

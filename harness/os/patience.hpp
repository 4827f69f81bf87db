// A bound on what other processes do, which is longer where the machine does not let them do it.
#pragma once

#include "harness/base/deadline.hpp"

#include <string_view>

namespace pidleak::os {

/// The share of the last ten seconds in which some process of the machine waited for a CPU, 0 to 1: PSI, Linux 4.20; 0
/// where the kernel does not say.
double cpu_pressure();
/// Of `some avg10=12.34 avg60=...`; 0 if it is anything else.
double parse_cpu_pressure(std::string_view text);

/// Like a Deadline, but time under full pressure counts a tenth. A machine that has an idle CPU notices no difference.
class Patience {
public:
  static Patience of(std::chrono::nanoseconds bound) { return Patience(bound); }

  bool passed() const { return left_ms() == 0; }
  /// What may be left, in milliseconds as poll(2) wants it; 0 when passed.
  int left_ms() const;

private:
  explicit Patience(std::chrono::nanoseconds bound) : bound_(bound), start_(Clock::now()) {}
  std::chrono::nanoseconds bound_;
  Clock::time_point start_;
};

} // namespace pidleak::os

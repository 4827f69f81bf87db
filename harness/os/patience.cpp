#include "harness/os/patience.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/words.hpp"

#include <charconv>

namespace pidleak::os {

double parse_cpu_pressure(std::string_view text) {
  constexpr std::string_view average = "avg10=";
  auto words = split_words(text);
  if (words.size() < 2 || words[0] != "some" || !words[1].starts_with(average))
    return 0;
  double percent = 0;
  std::from_chars(words[1].data() + average.size(), words[1].data() + words[1].size(), percent);
  return percent > 0 ? std::min(percent / 100, 1.0) : 0;
}

double cpu_pressure() {
  try {
    return parse_cpu_pressure(read_file("/proc/pressure/cpu"));
  } catch (const SyscallError &) {
    return 0;
  }
}

int Patience::left_ms() const {
  auto gone = Clock::now() - start_;
  if (gone < bound_)
    return poll_ms(bound_ - gone);
  auto counts = 1 - 0.9 * cpu_pressure(); // asked only now: it costs more than all else
  auto left = std::chrono::duration<double, std::nano>(bound_) - gone * counts;
  return std::min(poll_ms(std::chrono::duration_cast<std::chrono::nanoseconds>(left)), 1000); // the pressure may fall
}

} // namespace pidleak::os

// Suppressions that a user wrote: rules, or std::invalid_argument.
#include "reports/suppressions.hpp"

#include <cstdint>
#include <stdexcept>

using namespace pidleak::reports;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  try {
    for (const auto &rule : parse_suppressions({reinterpret_cast<const char *>(data), size}, "rules.json"))
      (void)rule.text();
  } catch (const std::invalid_argument &) {
  }
  return 0;
}

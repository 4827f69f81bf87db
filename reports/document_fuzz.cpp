// Leak reports from anywhere: one is refused, or it is read, and what is written of it can be read again as the same.
#include "reports/document.hpp"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

using namespace pidleak::reports;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  std::vector<Report> reports;
  try {
    reports = from_document({reinterpret_cast<const char *>(data), size});
  } catch (const std::invalid_argument &) {
    return 0;
  }
  auto written = to_document(reports);
  if (to_document(from_document(written)) != written)
    std::abort();
  return 0;
}

#include "harness/cli/report_file.hpp"

#include "harness/os/unique_fd.hpp"
#include "reports/document.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace pidleak::cli {
namespace {

constexpr std::size_t largest_report = std::size_t{256} << 20; // a replay takes some 10 KiB

[[noreturn]] void cannot_read(const std::string &path) {
  throw UsageError(fmt::format("{}: can't be read: {}", path, std::strerror(errno)));
}

} // namespace

std::string read_bounded(const std::string &path, std::size_t most) {
  bool from_standard_input = path == "-";
  auto file = os::UniqueFd::adopt(from_standard_input ? ::fcntl(0, F_DUPFD_CLOEXEC, 0)
                                                      : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file)
    cannot_read(path);
  std::string text;
  std::string buffer(1 << 16, '\0');
  for (;;) {
    ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      cannot_read(path);
    if (got == 0)
      return text;
    text.append(buffer, 0, static_cast<std::size_t>(got));
    if (text.size() > most) // asked after reading, as a pipe has no size
      throw UsageError(fmt::format("{}: is larger than {} MiB", path, most >> 20));
  }
}

std::string read_report_text(const std::string &path) { return read_bounded(path, largest_report); }

std::vector<reports::Report> read_report_file(const std::string &path) {
  auto text = read_report_text(path);
  try {
    return reports::from_document(text);
  } catch (const std::invalid_argument &e) {
    throw UsageError(fmt::format("{}: {}", path, reports::printable(e.what())));
  }
}

} // namespace pidleak::cli

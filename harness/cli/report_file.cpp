#include "harness/cli/report_file.hpp"

#include "harness/os/unique_fd.hpp"
#include "reports/document.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
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

void check_standard_input(const std::vector<std::string> &paths) {
  if (std::count(paths.begin(), paths.end(), "-") > 1)
    throw UsageError("standard input (-) can be read once only");
}

std::string read_report_text(const std::string &path) { return read_bounded(path, largest_report); }

std::function<reports::Content()> report_content(const std::string &path) {
  struct stat first {};
  if (path == "-" || ::stat(path.c_str(), &first) != 0 || !S_ISREG(first.st_mode))
    return [text = std::make_shared<std::string>(read_report_text(path))] { return reports::Content(*text); };
  return [path, first] {
    struct Open {
      os::UniqueFd file;
      std::string piece;
    };
    auto open = std::make_shared<Open>();
    open->file = os::UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat now {};
    if (!open->file || ::fstat(open->file.get(), &now) != 0)
      cannot_read(path);
    bool same = now.st_ino == first.st_ino && now.st_dev == first.st_dev && now.st_size == first.st_size &&
                now.st_mtim.tv_sec == first.st_mtim.tv_sec && now.st_mtim.tv_nsec == first.st_mtim.tv_nsec;
    if (!same)
      throw UsageError(fmt::format("{}: was changed while it was read", path));
    return reports::Content(static_cast<std::size_t>(now.st_size), [open, path](std::size_t place) -> std::string_view {
      open->piece.resize(1 << 18);
      ssize_t got = 0;
      do
        got = ::pread(open->file.get(), open->piece.data(), open->piece.size(), static_cast<off_t>(place));
      while (got < 0 && errno == EINTR);
      if (got < 0)
        cannot_read(path);
      if (got == 0)
        throw UsageError(fmt::format("{}: was changed while it was read", path));
      return std::string_view(open->piece).substr(0, static_cast<std::size_t>(got));
    });
  };
}

void read_reports(const std::string &path, const std::function<void(reports::Report)> &on_report) {
  auto open = report_content(path);
  auto content = open();
  try {
    reports::for_each_report(content, on_report);
  } catch (const std::invalid_argument &e) {
    throw UsageError(fmt::format("{}: {}", path, reports::printable(e.what())));
  }
}

std::vector<reports::Report> read_report_file(const std::string &path) {
  std::vector<reports::Report> all;
  read_reports(path, [&](reports::Report report) { all.push_back(std::move(report)); });
  return all;
}

} // namespace pidleak::cli

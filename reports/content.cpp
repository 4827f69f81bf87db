#include "reports/content.hpp"

#include "harness/os/syscall_error.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

namespace pidleak::reports {
namespace {

constexpr std::size_t largest_piece = 1 << 18;

/// One in that directory, that has no name or loses it at once. None: there can be none.
os::UniqueFd nameless_file(const std::string &directory) {
  auto fd = os::UniqueFd::adopt(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd)
    return fd;
  auto name = directory + "/pidleak-XXXXXX";
  fd = os::UniqueFd::adopt(::mkostemp(name.data(), O_CLOEXEC));
  if (fd)
    ::unlink(name.c_str());
  return fd;
}

} // namespace

Content::Content(std::string_view text) : Content(text.size(), [text](std::size_t at) { return text.substr(at); }) {}

void Content::each_piece(std::size_t from, std::size_t to, const std::function<void(std::string_view)> &write) const {
  while (from < to) {
    auto piece = piece_at_(from).substr(0, to - from);
    write(piece);
    from += piece.size();
  }
}

Spool::Spool() {
  const char *directory = std::getenv("TMPDIR");
  file_ = nameless_file(directory && *directory ? directory : "/tmp");
}

void Spool::append(std::string_view bytes) {
  while (in_memory_.empty() && !bytes.empty()) {
    ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(in_file_));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      break;
    bytes.remove_prefix(static_cast<std::size_t>(written));
    in_file_ += static_cast<std::size_t>(written);
  }
  in_memory_ += bytes;
}

Content Spool::content() const {
  return {in_file_ + in_memory_.size(), [this](std::size_t place) { return piece_at(place); }};
}

std::string_view Spool::piece_at(std::size_t place) const {
  if (place >= in_file_)
    return std::string_view(in_memory_).substr(place - in_file_);
  piece_.resize(std::min(in_file_ - place, largest_piece));
  ssize_t got = 0;
  do
    got = ::pread(file_.get(), piece_.data(), piece_.size(), static_cast<off_t>(place));
  while (got < 0 && errno == EINTR);
  if (got <= 0)
    throw os::SyscallError(got < 0 ? errno : EIO, "pread(what was put aside in a temporary file)");
  return std::string_view(piece_).substr(0, static_cast<std::size_t>(got));
}

} // namespace pidleak::reports

#include "harness/os/pipe.hpp"

#include "harness/os/syscall_error.hpp"

#include <fcntl.h>

namespace pidleak::os {

Pipe open_pipe(int extra_flags) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | extra_flags) != 0)
    throw_errno("pipe2(O_CLOEXEC)");
  return {UniqueFd::adopt(ends[0]), UniqueFd::adopt(ends[1])};
}

void set_nonblocking(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    throw_errno("fcntl({}, F_SETFL, O_NONBLOCK)", fd);
}

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0 && errno == EPIPE) // the reader is gone: an expected outcome
      return false;
    if (written < 0)
      throw_errno("write({}, {} bytes)", fd, data.size());
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool read_exactly(int fd, void *data, std::size_t size) {
  auto *bytes = static_cast<char *>(data);
  while (size > 0) {
    ssize_t got = ::read(fd, bytes, size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw_errno("read({}, {} bytes)", fd, size);
    if (got == 0)
      return false;
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

std::string read_file(const std::string &path, int dirfd) {
  auto fd = UniqueFd::adopt(::openat(dirfd, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    throw_errno("open({})", path);
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw_errno("read({})", path);
    if (got == 0)
      return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

void write_file(const std::string &path, std::string_view data, int dirfd) {
  auto fd = UniqueFd::adopt(::openat(dirfd, path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd)
    throw_errno("open({})", path);
  if (::write(fd.get(), data.data(), data.size()) != static_cast<ssize_t>(data.size()))
    throw_errno("write({}, \"{}\")", path, data);
}

} // namespace pidleak::os

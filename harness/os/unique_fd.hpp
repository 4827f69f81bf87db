// The owner of one file descriptor.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace pidleak::os {

/// Owns a descriptor and closes it. Move-only; -1 means "none". The destructor keeps errno.
class UniqueFd {
public:
  UniqueFd() = default;
  static UniqueFd adopt(int fd) {
    UniqueFd owner;
    owner.fd_ = fd;
    return owner;
  }
  UniqueFd(UniqueFd &&other) noexcept : fd_(other.release()) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.release();
    }
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ < 0)
      return;
    int saved = errno;
    ::close(release());
    errno = saved;
  }

private:
  int fd_ = -1;
};

} // namespace pidleak::os

#include "reports/in_place.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

/// One file while it is overwritten, and how it was before.
class Overwriting {
public:
  Overwriting(int fd, const std::string &path) : fd_(fd), path_(path) {
    struct stat info {};
    if (::fstat(fd_, &info) != 0)
      os::throw_errno("fstat({})", path_);
    old_size_ = static_cast<std::size_t>(info.st_size);
  }

  void write(const Content &content) {
    auto size = content.size(), head = std::min(size, old_size_);
    refuse_beyond_limit(size);
    keep_old(head);
    try {
      reserve(size);
      write_part(content, head, size); // as long as space may be missing nothing is overwritten
      sync();
      write_part(content, 0, head);
      sync();
      if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
        os::throw_errno("ftruncate({}, {})", path_, size);
      sync();
    } catch (const os::SyscallError &) {
      put_back();
      throw;
    }
  }

private:
  /// Now, as write(2) would write up to the limit first.
  void refuse_beyond_limit(std::size_t size) const {
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)
      throw os::SyscallError(EFBIG, fmt::format("write({}, {} bytes)", path_, size));
  }

  /// What is to be overwritten. A file that may be written and not read can't be put back.
  void keep_old(std::size_t size) {
    old_.resize(size);
    std::size_t got = 0;
    for (ssize_t more = 1; more > 0 && got < size; got += static_cast<std::size_t>(std::max<ssize_t>(more, 0)))
      more = ::pread(fd_, old_.data() + got, size - got, static_cast<off_t>(got));
    old_.resize(got);
  }

  /// Holes are filled as well. That does not help where a block is never overwritten but written anew (btrfs).
  void reserve(std::size_t size) {
    int result = 0;
    do
      result = size == 0 ? 0 : ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size));
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) // NFS before 4.2, FUSE, ZFS
      os::throw_errno("fallocate({}, {} bytes)", path_, size);
  }

  void write_part(const Content &content, std::size_t from, std::size_t to) {
    content.each_piece(from, to, [&](std::string_view piece) {
      write_at(piece, from);
      from += piece.size();
    });
  }

  void write_at(std::string_view text, std::size_t at) {
    while (!text.empty()) {
      ssize_t written = ::pwrite(fd_, text.data(), text.size(), static_cast<off_t>(at));
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        os::throw_errno("write({}, {} bytes)", path_, text.size());
      text.remove_prefix(static_cast<std::size_t>(written));
      at += static_cast<std::size_t>(written);
    }
  }

  void sync() {
    if (::fsync(fd_) != 0) // where NFS says that the disk is full
      os::throw_errno("fsync({})", path_);
  }

  /// The first error is the one to tell. Truncated first, which gives back what was reserved.
  void put_back() {
    [[maybe_unused]] int ignored = ::ftruncate(fd_, static_cast<off_t>(old_size_));
    try {
      write_at(old_, 0);
      sync();
    } catch (const os::SyscallError &) {
    }
  }

  int fd_;
  const std::string &path_;
  std::size_t old_size_ = 0;
  std::string old_;
};

} // namespace

os::UniqueFd open_in_place(const Destination &destination) {
  if (is_doubtful_link(destination))
    throw os::SyscallError(EACCES, fmt::format("open({}): it has several names, and another user may have made this "
                                               "one",
                                               destination.path));
  try {
    return open_destination(destination, O_RDWR);
  } catch (const Swapped &) {
    throw;
  } catch (const os::SyscallError &e) {
    if (e.error() != EACCES)
      throw;
  }
  return open_destination(destination, O_WRONLY);
}

void write_in_place(const Destination &destination, const Content &content) {
  auto fd = open_in_place(destination);
  Overwriting(fd.get(), destination.path).write(content);
}

} // namespace pidleak::reports

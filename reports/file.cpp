// Writing the file that `--report` names: whole or not at all, whatever ends the writer.
//
//   find the destination ┬─▶ device, FIFO, own descriptor: written to
//                       ├──▶ new file beside it, complete ──▶ rename
//                       └──▶ in place, where there can be no new file, or what it would replace has to stay
#include "reports/file.hpp"

#include "harness/os/pipe.hpp"
#include "reports/destination.hpp"
#include "reports/in_place.hpp"
#include "reports/new_file.hpp"

#include <fcntl.h>

#include <csignal>
#include <memory>

namespace pidleak::reports {
namespace {

/// A limit to the size of files (RLIMIT_FSIZE) is EFBIG, and not the signal that ends this process.
class SizeLimitIsError {
public:
  SizeLimitIsError() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  SizeLimitIsError(const SizeLimitIsError &) = delete;
  SizeLimitIsError &operator=(const SizeLimitIsError &) = delete;
  ~SizeLimitIsError() {
    int error = errno;
    timespec at_once{};
    ::sigtimedwait(&signal_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

private:
  sigset_t signal_{}, before_{};
};

void write_into(const Destination &destination, const Content &content) {
  auto fd = open_destination(destination, O_WRONLY);
  int error = EPIPE;
  try {
    bool read = true;
    content.each_piece(0, content.size(),
                       [&](std::string_view piece) { read = read && os::write_all(fd.get(), piece); });
    if (read)
      return;
  } catch (const os::SyscallError &e) {
    error = e.error();
  }
  throw os::SyscallError(error, fmt::format("write({}, {} bytes)", destination.path, content.size()));
}

/// A new file that can take the destination's place. None: the destination has to be written in place.
std::unique_ptr<NewFile> make_successor(const Destination &destination) {
  if (!destination.file)
    return std::make_unique<NewFile>(destination.directory.get(), destination.path);
  if (must_keep_inode(destination) || !may_be_replaced(destination))
    return {};
  try {
    auto file = std::make_unique<NewFile>(destination.directory.get(), destination.path);
    file->take_access_from(destination.info);
    if (is_doubtful_link(destination) || file->has_attributes_of(destination.file.get()))
      return file;
  } catch (const os::SyscallError &) { // no file can be made in this directory, not even an empty one
  }
  return {};
}

void replace(const Destination &destination, NewFile &successor, const Content &content) {
  successor.write(content);
  if (!destination.file) {
    if (!successor.appear(destination.name, NewFile::Occupied::is_left))
      throw Swapped(EEXIST, fmt::format("link({})", destination.path));
    return;
  }
  try {
    successor.appear(destination.name, NewFile::Occupied::is_replaced);
  } catch (const os::SyscallError &) {
    write_in_place(destination, content);
  }
}

void write_to(const Destination &destination, const Content &content) {
  if (destination.is_special())
    write_into(destination, content);
  else if (auto successor = make_successor(destination))
    replace(destination, *successor, content);
  else
    write_in_place(destination, content);
}

void check_special(const Destination &destination) {
  if (destination.descriptor) {
    int flags = ::fcntl(*destination.descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
      throw os::SyscallError(EBADF, fmt::format("write({})", destination.path));
  } else if (S_ISSOCK(destination.info.st_mode)) {
    throw os::SyscallError(ENXIO, fmt::format("open({})", destination.path));
  } else if (::faccessat(destination.directory.get(), destination.name.c_str(), W_OK, AT_EACCESS) != 0) {
    os::throw_errno("access({}, W_OK)", destination.path); // to open a FIFO would wait for its reader
  }
}

} // namespace

void write_atomically(const std::string &path, const Content &content) {
  SizeLimitIsError guard;
  for (int attempts = 8;; --attempts) {
    try {
      return write_to(find_destination(path), content);
    } catch (const Swapped &) { // by another writer of reports, it may be: looked at again
      if (attempts == 1)
        throw;
    }
  }
}

void check_writable(const std::string &path) {
  auto destination = find_destination(path);
  if (destination.is_special())
    check_special(destination);
  else if (!make_successor(destination))
    open_in_place(destination);
}

} // namespace pidleak::reports

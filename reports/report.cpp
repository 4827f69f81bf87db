#include "reports/report.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace pidleak::reports {

int exit_status(Verdict verdict) {
  switch (verdict) {
  case Verdict::clean:
    return 0;
  case Verdict::leaked:
  case Verdict::hung:
    return 1;
  case Verdict::invalid:
    return 3;
  case Verdict::skipped:
    return 4;
  case Verdict::broken:
    return 5;
  }
  return 5;
}

int exit_status(const std::vector<Verdict> &verdicts) {
  for (int status : {5, 3, 1, 0, 4})
    if (std::any_of(verdicts.begin(), verdicts.end(), [&](Verdict v) { return exit_status(v) == status; }))
      return status;
  return 0;
}

namespace {

struct Destination {
  std::string path;     // symbolic links followed
  bool special = false; // a device, FIFO or socket: never to be replaced by a file
};

Destination find_destination(const std::string &path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT && !path.empty()) // a new file; or a link to nothing, which gives way to one
      return {.path = path};
    os::throw_errno("stat({})", path);
  }
  if (S_ISDIR(info.st_mode))
    throw os::SyscallError(EISDIR, fmt::format("write({})", path));
  if (!S_ISREG(info.st_mode))
    return {.path = path, .special = true};
  std::error_code error;
  auto target = std::filesystem::canonical(path, error);
  if (error)
    throw os::SyscallError(error.value(), fmt::format("realpath({})", path));
  return {.path = target.string()};
}

/// A file beside `path` that has no name until it is complete, so that no death of this process leaves it behind.
/// Where the file system has no such files (NFS, FUSE, overlayfs before Linux 6.1) it has a temporary one.
class NewFile {
public:
  explicit NewFile(std::string path) : path_(std::move(path)) {
    auto parent = std::filesystem::path(path_).parent_path();
    directory_ = parent.empty() ? "." : parent.string();
    fd_ = os::UniqueFd::adopt(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)); // Linux 3.11
    if (!fd_ && (errno == EOPNOTSUPP || errno == EISDIR))                                          // open(2)
      take_free_name([&](const char *name) {
        fd_ = os::UniqueFd::adopt(::open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
        return static_cast<bool>(fd_);
      });
    if (!fd_)
      os::throw_errno("create a file in {}", directory_);
  }
  NewFile(const NewFile &) = delete;
  NewFile &operator=(const NewFile &) = delete;
  ~NewFile() {
    int error = errno;
    if (!temporary_name_.empty())
      ::unlink(temporary_name_.c_str());
    errno = error;
  }

  void write(const std::string &text) {
    os::write_all(fd_.get(), text);
    if (::fsync(fd_.get()) != 0)
      os::throw_errno("fsync(a file in {})", directory_);
  }

  /// linkat(2) does not replace: a temporary name after all, for the moment between two calls.
  void appear() {
    auto self = fmt::format("/proc/self/fd/{}", fd_.get());
    if (temporary_name_.empty())
      take_free_name(
          [&](const char *name) { return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0; });
    if (::rename(temporary_name_.c_str(), path_.c_str()) != 0)
      os::throw_errno("rename({}, {})", temporary_name_, path_);
    temporary_name_.clear();
  }

private:
  /// A pid is no unique name: in a container every run may have the same, and an earlier one may have been killed.
  template <class Make>
  void take_free_name(Make make) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      auto name = fmt::format("{}/.pidleak-report-{}-{}", directory_, ::getpid(), attempt);
      if (make(name.c_str())) {
        temporary_name_ = name;
        return;
      }
      if (errno != EEXIST)
        os::throw_errno("create {}", name);
    }
    throw os::SyscallError(EEXIST, fmt::format("create {}/.pidleak-report-{}-*", directory_, ::getpid()));
  }

  std::string path_, directory_, temporary_name_;
  os::UniqueFd fd_;
};

void write_into(const std::string &path, const std::string &text) {
  auto fd = os::UniqueFd::adopt(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd)
    os::throw_errno("open({})", path);
  if (!os::write_all(fd.get(), text))
    throw os::SyscallError(EPIPE, fmt::format("write({})", path));
}

} // namespace

void write_atomically(const std::string &path, const std::string &text) {
  auto destination = find_destination(path);
  if (destination.special)
    return write_into(destination.path, text);
  NewFile file(destination.path);
  file.write(text);
  file.appear();
}

void check_writable(const std::string &path) {
  auto destination = find_destination(path);
  if (!destination.special)
    NewFile file(destination.path);
  else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) // opening a FIFO would wait for its reader
    os::throw_errno("access({}, W_OK)", path);
}

} // namespace pidleak::reports

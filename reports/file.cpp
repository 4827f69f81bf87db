// Writing the file that `--report` names: whole or not at all, whatever ends the writer.
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/report.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace pidleak::reports {
namespace {

namespace fs = std::filesystem;

struct Destination {
  std::string path;                // symbolic links followed
  bool special = false;            // a device, FIFO or socket: never to be replaced by a file
  std::optional<int> descriptor;   // /dev/stdout and the like, whatever is behind them
  std::optional<struct stat> info; // nothing: there is no such file yet
};

fs::path directory_of(const fs::path &path) { return path.has_parent_path() ? path.parent_path() : "."; }

/// The descriptor of this process that `path`, a symbolic link, stands for. To replace the file behind the link
/// would take it away from whoever redirected the output into it.
std::optional<int> own_descriptor(const fs::path &path) {
  std::error_code error;
  auto name = path.filename().string();
  int number = -1;
  auto [end, parsed] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed == std::errc() && end == name.data() + name.size() &&
      fs::canonical(directory_of(path), error) == fmt::format("/proc/{}/fd", ::getpid()))
    return number;
  return {};
}

Destination find_destination(const std::string &path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 && (errno != ENOENT || path.empty()))
    os::throw_errno("stat({})", path);
  // Link by link, as what the last one points to may not be there yet. stat() has ruled out that they form a ring.
  fs::path target = path;
  std::error_code error;
  while (fs::is_symlink(target, error)) {
    if (auto number = own_descriptor(target))
      return {.path = path, .special = true, .descriptor = number, .info = {}};
    auto next = fs::read_symlink(target, error);
    if (error)
      throw os::SyscallError(error.value(), fmt::format("readlink({})", target.string()));
    target = directory_of(target) / next;
  }
  if (::stat(target.c_str(), &info) != 0)
    return {.path = target, .special = false, .descriptor = {}, .info = {}};
  if (S_ISDIR(info.st_mode))
    throw os::SyscallError(EISDIR, fmt::format("write({})", path));
  return {.path = target, .special = !S_ISREG(info.st_mode), .descriptor = {}, .info = info};
}

constexpr std::string_view temporary_prefix = ".pidleak-report-";
constexpr std::size_t temporary_digits = 16;

bool is_temporary_name(std::string_view name) {
  return name.starts_with(temporary_prefix) && name.size() == temporary_prefix.size() + temporary_digits &&
         name.find_first_not_of("0123456789abcdef", temporary_prefix.size()) == name.npos;
}

/// Never the same twice, so that a name that was seen once stands for one file for ever.
std::string temporary_name() {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    os::throw_errno("getrandom({} bytes)", sizeof random);
  return fmt::format("{}{:0{}x}", temporary_prefix, random, temporary_digits);
}

/// Removes what writers left that were killed while their file had a temporary name. A writer that lives has its
/// file locked. What can't be removed is no reason to write no report.
void sweep(const std::string &directory) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (!is_temporary_name(entry->path().filename().string()))
      continue;
    auto fd =
        os::UniqueFd::adopt(::open(entry->path().c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)); // open(2)
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
      ::unlink(entry->path().c_str());
  }
}

/// A file beside `path` that has no name until it is complete, so that no death of this process leaves it behind.
/// Where the file system has no such files (NFS, FUSE, overlayfs before Linux 6.1) it has a temporary one.
class NewFile {
public:
  explicit NewFile(std::string path) : path_(std::move(path)), directory_(directory_of(path_)) {
    sweep(directory_);
    fd_ = os::UniqueFd::adopt(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)); // Linux 3.11
    if (fd_)
      ::flock(fd_.get(), LOCK_EX | LOCK_NB);         // nobody else can have it; where locks are missing, nobody sweeps
    else if (errno == EOPNOTSUPP || errno == EISDIR) // open(2)
      take_free_name([&](const char *name) { return create_locked(name); });
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

  /// Readable and writable for whom the file was that this one replaces.
  void take_access_from(const struct stat &old) {
    [[maybe_unused]] int ignored = ::fchown(fd_.get(), old.st_uid, old.st_gid); // EPERM: only root gives files away
    if (::fchmod(fd_.get(), old.st_mode & 0777) != 0)
      os::throw_errno("fchmod(a file in {}, {:o})", directory_, old.st_mode & 0777);
  }

  void appear() {
    if (temporary_name_.empty() && link_to(path_.c_str()))
      return;
    // linkat(2) does not replace: a temporary name after all, for the moment between two calls.
    if (temporary_name_.empty())
      take_free_name([&](const char *name) { return link_to(name); });
    if (::rename(temporary_name_.c_str(), path_.c_str()) != 0)
      os::throw_errno("rename({}, {})", temporary_name_, path_);
    temporary_name_.clear();
  }

private:
  bool link_to(const char *name) {
    auto self = fmt::format("/proc/self/fd/{}", fd_.get());
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
  }

  bool create_locked(const char *name) {
    auto fd = os::UniqueFd::adopt(::open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
    if (!fd)
      return false;
    struct stat info {};
    bool swept = (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || ::fstat(fd.get(), &info) != 0 ||
                 info.st_nlink == 0;
    if (swept) { // before it could be locked
      errno = EEXIST;
      return false;
    }
    fd_ = std::move(fd);
    return true;
  }

  template <class Make>
  void take_free_name(Make make) {
    std::string name;
    for (int attempt = 0; attempt < 100; ++attempt) {
      name = fmt::format("{}/{}", directory_, temporary_name());
      if (make(name.c_str())) {
        temporary_name_ = name;
        return;
      }
      if (errno != EEXIST)
        os::throw_errno("create {}", name);
    }
    throw os::SyscallError(EEXIST, fmt::format("create {}", name));
  }

  std::string path_, directory_, temporary_name_;
  os::UniqueFd fd_;
};

void write_into(const Destination &destination, const std::string &text) {
  auto fd = os::UniqueFd::adopt(destination.descriptor ? ::fcntl(*destination.descriptor, F_DUPFD_CLOEXEC, 0)
                                                       : ::open(destination.path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd)
    os::throw_errno("open({})", destination.path);
  if (!os::write_all(fd.get(), text))
    throw os::SyscallError(EPIPE, fmt::format("write({})", destination.path));
}

} // namespace

void write_atomically(const std::string &path, const std::string &text) {
  auto destination = find_destination(path);
  if (destination.special)
    return write_into(destination, text);
  NewFile file(destination.path);
  file.write(text);
  if (destination.info)
    file.take_access_from(*destination.info);
  file.appear();
}

void check_writable(const std::string &path) {
  auto destination = find_destination(path);
  if (destination.descriptor) {
    int flags = ::fcntl(*destination.descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
      throw os::SyscallError(EBADF, fmt::format("write({})", path));
  } else if (!destination.special) {
    NewFile file(destination.path);
  } else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) { // opening a FIFO would wait for its reader
    os::throw_errno("access({}, W_OK)", path);
  }
}

} // namespace pidleak::reports

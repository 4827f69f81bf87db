#include "reports/destination.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include <charconv>
#include <climits>
#include <vector>

namespace pidleak::reports {
namespace {

constexpr int most_links = 40;                  // as many as the kernel follows: path_resolution(7)
constexpr std::uint64_t is_mount_root = 0x2000; // STATX_ATTR_MOUNT_ROOT, Linux 5.8

struct stat stat_of(const os::UniqueFd &fd, const std::string &path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0)
    os::throw_errno("fstat({})", path);
  return info;
}

bool is_same_file(const struct stat &a, const struct stat &b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

/// All may make names here, and each may remove only its own.
bool is_shared_by_all(const struct stat &directory) {
  return (directory.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
}

/// STATX_ATTR_IMMUTABLE and the like. Those that the kernel does not know are never set.
std::uint64_t attributes_of(const Destination &destination) {
  struct statx info {};
  if (::statx(destination.file.get(), "", AT_EMPTY_PATH, 0, &info) != 0)
    return 0;
  return info.stx_attributes;
}

/// One way along a path. `ahead_` holds the names that are still to be looked up, the next one last.
class Walk {
public:
  explicit Walk(const std::string &path) : path_(path) {
    if (path.empty())
      throw os::SyscallError(ENOENT, "open()");
    if (path.size() >= PATH_MAX)
      throw os::SyscallError(ENAMETOOLONG, fmt::format("open({})", path));
    enter(".", AT_FDCWD, 0);
    put_ahead(path);
  }

  Destination go() {
    for (;;) {
      auto name = std::move(ahead_.back());
      ahead_.pop_back();
      if (!ahead_.empty())
        go_into(name);
      else if (auto found = look_at_last(name))
        return std::move(*found);
    }
  }

private:
  void put_ahead(std::string_view text) {
    if (text.starts_with('/'))
      enter("/", AT_FDCWD, 0);
    std::vector<std::string> names;
    for (std::size_t at = 0; at <= text.size();) {
      auto end = std::min(text.find('/', at), text.size());
      if (end > at)
        names.emplace_back(text.substr(at, end - at));
      at = end + 1;
    }
    if (text.ends_with('/'))
      names.emplace_back("."); // so that what stands before it has to be a directory
    ahead_.insert(ahead_.end(), names.rbegin(), names.rend());
  }

  /// False: it is no directory, or a symbolic link.
  bool enter(const std::string &name, int from, int flags) {
    auto fd = os::UniqueFd::adopt(::openat(from, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | flags));
    if (!fd && errno == ENOTDIR && flags)
      return false;
    if (!fd)
      os::throw_errno("open(directory {} of {})", name, path_);
    directory_ = std::move(fd);
    return true;
  }

  os::UniqueFd look_at(const std::string &name) {
    return os::UniqueFd::adopt(::openat(directory_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }

  void go_into(const std::string &name) {
    if (enter(name, directory_.get(), O_NOFOLLOW))
      return;
    auto link = look_at(name);
    if (!link)
      os::throw_errno("open(directory {} of {})", name, path_);
    auto info = stat_of(link, path_);
    if (!S_ISLNK(info.st_mode))
      throw os::SyscallError(ENOTDIR, fmt::format("open(directory {} of {})", name, path_));
    if (is_of_procfs(link))
      enter(name, directory_.get(), 0);
    else
      follow(name, link, info);
  }

  /// Nothing: it was a link, and there is more ahead.
  std::optional<Destination> look_at_last(const std::string &name) {
    Destination found{.path = path_, .directory = {}, .name = name, .file = look_at(name), .descriptor = {}};
    if (!found.file && errno != ENOENT)
      os::throw_errno("open({})", path_);
    if (found.file)
      found.info = stat_of(found.file, path_);
    if (S_ISLNK(found.info.st_mode)) {
      if (!is_of_procfs(found.file)) {
        follow(name, found.file, found.info);
        return {};
      }
      follow_by_kernel(found);
    }
    if (S_ISDIR(found.info.st_mode))
      throw os::SyscallError(EISDIR, fmt::format("write({})", path_));
    found.directory = std::move(directory_);
    return found;
  }

  /// Users can make no link in procfs, and most of its links lead where no text does.
  static bool is_of_procfs(const os::UniqueFd &fd) {
    struct statfs info {};
    return ::fstatfs(fd.get(), &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
  }

  void follow_by_kernel(Destination &found) {
    found.by_kernel = true;
    found.descriptor = own_descriptor(found.name);
    found.file = os::UniqueFd::adopt(::openat(directory_.get(), found.name.c_str(), O_PATH | O_CLOEXEC));
    if (!found.file)
      os::throw_errno("open({})", path_);
    found.info = stat_of(found.file, path_);
  }

  /// The descriptor of this process that a link stands for. To replace the file behind it would take that file away
  /// from the process that redirected an output into it.
  std::optional<int> own_descriptor(const std::string &name) {
    int number = -1;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size())
      return {};
    auto here = stat_of(directory_, path_);
    for (const char *own : {"/proc/self/fd", "/proc/thread-self/fd"})
      if (struct stat info{}; ::stat(own, &info) == 0 && is_same_file(here, info))
        return number;
    return {};
  }

  void follow(const std::string &name, const os::UniqueFd &link, const struct stat &info) {
    auto directory = stat_of(directory_, path_);
    if (is_shared_by_all(directory) && info.st_uid != ::geteuid() && info.st_uid != directory.st_uid)
      throw os::SyscallError(EACCES, fmt::format("open({}): {} is a link that user {} has put where every user may, "
                                                 "and is not followed (as with fs.protected_symlinks)",
                                                 path_, name, info.st_uid));
    if (++links_ > most_links)
      throw os::SyscallError(ELOOP, fmt::format("open({})", path_));
    std::string text(PATH_MAX, '\0');
    ssize_t size = ::readlinkat(link.get(), "", text.data(), text.size()); // of the very link that was judged
    if (size < 0)
      os::throw_errno("readlink({} of {})", name, path_);
    put_ahead(std::string_view(text).substr(0, static_cast<std::size_t>(size)));
  }

  std::string path_;
  os::UniqueFd directory_;
  std::vector<std::string> ahead_;
  int links_ = 0;
};

} // namespace

Destination find_destination(const std::string &path) { return Walk(path).go(); }

os::UniqueFd open_destination(const Destination &destination, int flags) {
  if (destination.descriptor) {
    auto fd = os::UniqueFd::adopt(::fcntl(*destination.descriptor, F_DUPFD_CLOEXEC, 0));
    if (!fd)
      os::throw_errno("dup({})", *destination.descriptor);
    return fd;
  }
  flags |= O_NOCTTY | O_CLOEXEC | (destination.by_kernel ? 0 : O_NOFOLLOW);
  if (S_ISREG(destination.info.st_mode))
    flags |= O_NONBLOCK; // a FIFO that has taken its place must not make this process wait
  auto fd = os::UniqueFd::adopt(::openat(destination.directory.get(), destination.name.c_str(), flags));
  if (!fd && (errno == ELOOP || errno == ENOENT || errno == ENXIO) && S_ISREG(destination.info.st_mode))
    throw Swapped(errno, fmt::format("open({})", destination.path));
  if (!fd)
    os::throw_errno("open({})", destination.path);
  // Both are asked only now: on overlayfs, opening a file for writing gives it another inode.
  if (!is_same_file(stat_of(fd, destination.path), stat_of(destination.file, destination.path)))
    throw Swapped(ESTALE, fmt::format("open({}): another file took its place", destination.path));
  return fd;
}

bool must_keep_inode(const Destination &destination) {
  return destination.by_kernel || (attributes_of(destination) & is_mount_root) ||
         (destination.info.st_nlink > 1 && !is_doubtful_link(destination));
}

bool may_be_replaced(const Destination &destination) {
  auto directory = stat_of(destination.directory, destination.path);
  uid_t user = ::geteuid();
  bool is_others = (directory.st_mode & S_ISVTX) && user != 0 && user != destination.info.st_uid &&
                   user != directory.st_uid; // unlink(2): EPERM
  return !is_others && !(attributes_of(destination) & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND));
}

bool is_doubtful_link(const Destination &destination) {
  bool others_cannot = destination.by_kernel || (attributes_of(destination) & is_mount_root); // root alone mounts
  if (destination.info.st_nlink <= 1 || others_cannot)
    return false;
  auto directory = stat_of(destination.directory, destination.path);
  auto owner = directory.st_uid;
  return (directory.st_mode & S_IWOTH) || (owner != 0 && owner != ::geteuid() && owner != destination.info.st_uid);
}

} // namespace pidleak::reports

#include "reports/new_file.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

namespace pidleak::reports {
namespace {

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

/// Of this machine alone, so that a lock of flock(2) is seen by every process that can see the file. A list of those
/// that are, not of those that are not (NFS, SMB, FUSE, 9p, Ceph, Lustre, ...): of one that is on no list the worst
/// is a file that stays.
bool is_local_file_system(int directory) {
  constexpr std::uint32_t local[] = {
      EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC,    TMPFS_MAGIC,          RAMFS_MAGIC,
      F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, REISERFS_SUPER_MAGIC, 0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */};
  struct statfs info {};
  return ::fstatfs(directory, &info) == 0 &&
         std::find(std::begin(local), std::end(local), static_cast<std::uint32_t>(info.f_type)) != std::end(local);
}

/// Removes one that no living writer has locked.
void sweep_one(int directory, const char *name) {
  auto fd = os::UniqueFd::adopt(::openat(directory, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (fd && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
    ::unlinkat(directory, name, 0);
}

/// Removes what writers left that were killed while their file had a temporary name. A writer that lives has its
/// file locked. What can't be removed is no reason to write no report.
void sweep(int directory) {
  if (!is_local_file_system(directory))
    return;
  auto fd = os::UniqueFd::adopt(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::unique_ptr<DIR, int (*)(DIR *)> entries(fd ? ::fdopendir(fd.get()) : nullptr, ::closedir);
  if (!entries)
    return;
  fd.release();
  while (const dirent *entry = ::readdir(entries.get()))
    if (is_temporary_name(entry->d_name))
      sweep_one(directory, entry->d_name);
}

/// What a descriptor is called in the calls that take no descriptor, or no O_PATH one.
std::string name_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

/// All extended attributes. Nothing: they can't be read.
std::optional<std::map<std::string, std::string>> attributes_of(int fd) {
  auto file = name_of(fd);
  std::string names(XATTR_LIST_MAX, '\0'), value(XATTR_SIZE_MAX, '\0');
  ssize_t size = ::listxattr(file.c_str(), names.data(), names.size());
  if (size < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) // the file system has none
    return std::map<std::string, std::string>{};
  if (size < 0)
    return {};
  names.resize(static_cast<std::size_t>(size));
  std::map<std::string, std::string> all;
  for (std::size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
    const char *name = names.c_str() + at;
    ssize_t length = ::getxattr(file.c_str(), name, value.data(), value.size());
    if (length < 0)
      return {};
    all[name] = value.substr(0, static_cast<std::size_t>(length));
  }
  return all;
}

} // namespace

NewFile::NewFile(int directory, std::string path) : directory_(directory), path_(std::move(path)) {
  sweep(directory_);
  fd_ = os::UniqueFd::adopt(::openat(directory_, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)); // Linux 3.11
  if (fd_)
    ::flock(fd_.get(), LOCK_EX | LOCK_NB); // no other process can have it; where locks are missing, none sweeps
  else if (errno == EACCES)                // of the directory, whatever kind of file it is
    os::throw_errno("create a file beside {}", path_);
  else // EOPNOTSUPP, says open(2), or EISDIR; some file systems have other words for it
    take_temporary_name(&NewFile::create_locked);
}

NewFile::~NewFile() {
  int error = errno;
  if (!temporary_name_.empty())
    ::unlinkat(directory_, temporary_name_.c_str(), 0);
  errno = error;
}

void NewFile::take_access_from(const struct stat &old) {
  access_ = old;
  [[maybe_unused]] int ignored = ::fchown(fd_.get(), old.st_uid, old.st_gid); // EPERM: only root gives files away
  if (::fchmod(fd_.get(), old.st_mode & 0777) != 0)
    os::throw_errno("fchmod(a file beside {}, {:o})", path_, old.st_mode & 0777);
}

bool NewFile::has_attributes_of(int old) const {
  auto wanted = attributes_of(old);
  return wanted && wanted == attributes_of(fd_.get());
}

void NewFile::write(const Content &content) {
  content_ = &content;
  try {
    content.each_piece(0, content.size(), [&](std::string_view piece) { os::write_all(fd_.get(), piece); });
  } catch (const os::SyscallError &e) {
    throw os::SyscallError(e.error(), fmt::format("write(a file beside {}, {} bytes)", path_, content.size()));
  }
  if (::fsync(fd_.get()) != 0)
    os::throw_errno("fsync(a file beside {})", path_);
}

bool NewFile::appear(const std::string &name, Occupied occupied) {
  if (temporary_name_.empty()) {
    if (link_to(name))
      return true;
    if (errno == EEXIST && occupied == Occupied::is_left)
      return false;
    if (errno == EEXIST) { // linkat(2) does not replace: a temporary name after all, for the moment between two calls
      take_temporary_name(&NewFile::link_to);
    } else { // no /proc, or a security module that refuses links
      take_temporary_name(&NewFile::create_locked);
      write(*content_);
      if (access_)
        take_access_from(*access_);
    }
  }
  if (::renameat(directory_, temporary_name_.c_str(), directory_, name.c_str()) != 0)
    os::throw_errno("rename({}, {})", temporary_name_, path_);
  temporary_name_.clear();
  return true;
}

bool NewFile::link_to(const std::string &name) {
  return ::linkat(AT_FDCWD, name_of(fd_.get()).c_str(), directory_, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

bool NewFile::create_locked(const std::string &name) {
  auto fd = os::UniqueFd::adopt(::openat(directory_, name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
  if (!fd)
    return false;
  bool locked = ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; // or there are no locks here
  struct stat own {
  }, named{};
  // Another process may have swept it before it could be locked. (Its number of links tells nothing: FUSE has 0.)
  if (!locked || ::fstat(fd.get(), &own) != 0 ||
      ::fstatat(directory_, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 || own.st_dev != named.st_dev ||
      own.st_ino != named.st_ino) {
    errno = EEXIST;
    return false;
  }
  fd_ = std::move(fd);
  return true;
}

void NewFile::take_temporary_name(bool (NewFile::*make)(const std::string &)) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    auto name = temporary_name();
    if ((this->*make)(name)) {
      temporary_name_ = name;
      return;
    }
    if (errno != EEXIST)
      os::throw_errno("create a file beside {}", path_);
  }
  throw os::SyscallError(EEXIST, fmt::format("create a file beside {}", path_));
}

} // namespace pidleak::reports

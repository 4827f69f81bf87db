// A file that takes its name only when it is complete.
#pragma once

#include "harness/os/unique_fd.hpp"
#include "reports/content.hpp"

#include <sys/stat.h>

#include <optional>
#include <string>

namespace pidleak::reports {

/// A file in `directory` that has no name until it is complete, so that no death of this process leaves it behind.
/// Where the file system has no such files (NFS, FUSE, overlayfs before Linux 6.1) it has a temporary one. All of it
/// throws SyscallError; `path` is for its text.
class NewFile {
public:
  /// `directory` may be O_PATH, and stays with the caller, open for as long as this lives.
  NewFile(int directory, std::string path);
  NewFile(const NewFile &) = delete;
  NewFile &operator=(const NewFile &) = delete;
  ~NewFile(); // removes the temporary name

  /// Readable and writable for the users for which the file was that this one replaces.
  void take_access_from(const struct stat &old);
  /// The ACL, SELinux label and other extended attributes that `old` (may be O_PATH) has: this one has them by itself,
  /// as files in that directory have.
  bool has_attributes_of(int old) const;
  /// To the disk. `content` has to live until appear().
  void write(const Content &content);
  enum class Occupied { is_replaced, is_left };
  /// False: there is something of that name already, and it was to be left. (Known only of nameless files.)
  bool appear(const std::string &name, Occupied occupied);

private:
  bool link_to(const std::string &name);
  bool create_locked(const std::string &name);
  void take_temporary_name(bool (NewFile::*make)(const std::string &));

  int directory_;
  std::string path_, temporary_name_;
  os::UniqueFd fd_;
  const Content *content_ = nullptr;
  std::optional<struct stat> access_;
};

} // namespace pidleak::reports

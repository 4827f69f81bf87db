// Where a report goes: a path, followed link by link, and what stands at its end.
#pragma once

#include "harness/os/syscall_error.hpp"
#include "harness/os/unique_fd.hpp"

#include <sys/stat.h>

#include <optional>
#include <string>

namespace pidleak::reports {

/// What a path stands for now. All that follows is done relative to these descriptors: a link that another process
/// puts on the way after the look is not on the way any more.
struct Destination {
  std::string path;              // as the caller named it
  os::UniqueFd directory;        // O_PATH
  std::string name;              // in `directory`, and no symbolic link that a user can make
  os::UniqueFd file;             // O_PATH of what has that name; none: nothing has it yet
  struct stat info {};           // of `file`
  std::optional<int> descriptor; // of this process: /dev/stdout and the like, whatever is behind them
  bool by_kernel = false;        // `name` is a link of procfs, as /proc/PID/fd/1, that only the kernel can follow

  /// No plain file but a device, FIFO or socket: written to, and never replaced by a file.
  bool is_special() const { return descriptor || (file && !S_ISREG(info.st_mode)); }
};

/// Between a look at the destination and its use another process has put something else there.
struct Swapped : os::SyscallError {
  using SyscallError::SyscallError;
};

/// Follows the symbolic links of `path` in this process, and not in the kernel, for two reasons: the end of the last
/// one need not be there yet; and the rule of fs.protected_symlinks (proc(5)) holds whatever the machine has set: in a
/// sticky directory that all may write to, a link is followed only if it belongs to this process's user or to the
/// directory's owner. Another one is EACCES. Throws SyscallError.
Destination find_destination(const std::string &path);

/// Opens what was found, without truncating it. Throws SyscallError; Swapped if the name stands for something else now.
os::UniqueFd open_destination(const Destination &destination, int flags);

/// The file itself has to stay: it has other names, or is a mount point, which rename(2) does not replace, or what
/// another process has open.
bool must_keep_inode(const Destination &destination);
/// False where it is known that rename(2) would not replace the file. (If it refuses nevertheless, it says so.)
bool may_be_replaced(const Destination &destination);
/// The file has several names, and another user may have made this one, to have some other file overwritten: the
/// kernel allows that where fs.protected_hardlinks is 0. Such a file is replaced, and not written in place.
bool is_doubtful_link(const Destination &destination);

} // namespace pidleak::reports

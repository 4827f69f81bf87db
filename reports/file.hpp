// Files that the user names for reports and renderings: written whole or not at all.
#pragma once

#include "reports/content.hpp"

#include <string>

namespace pidleak::reports {

/// Replaces `path` by `content` as a whole or not at all: nameless file in the same directory (O_TMPFILE, or one with a
/// temporary name where the file system has no such thing), fsync, link, rename. A file that is replaced hands on its
/// mode and, as far as permitted, its owner. A device or FIFO (a shell's >(...)) is written to, and so is /dev/stdout,
/// whatever that is.
///
/// Written in place, and then not at one stroke, is a file that can't be replaced (a mount point, a file in a directory
/// that this user may not write to) or must not be: one with other names, an ACL or extended attributes that a new file
/// there would not have. A full disk leaves the old content there as well.
///
/// A symbolic link stays, and what it points to is written; but not one that another user put into a sticky directory
/// that all may write to: EACCES, as with fs.protected_symlinks.
///
/// Throws SyscallError, and leaves no temporary file. A writer that is killed between link and rename does:
/// `.pidleak-report-` and 16 digits. The next one in that directory removes it, if the file system is this machine's
/// own.
void write_atomically(const std::string &path, const Content &content);
/// Finds out beforehand whether write_atomically would work. Throws the SyscallError that it would meet.
void check_writable(const std::string &path);

} // namespace pidleak::reports

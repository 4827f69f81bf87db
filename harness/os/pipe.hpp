// Pipes and whole-buffer I/O.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <string>
#include <string_view>

namespace pidleak::os {

struct Pipe {
  UniqueFd read_end, write_end;
};

/// pipe2(2) with O_CLOEXEC set atomically. Throws SyscallError.
Pipe open_pipe(int extra_flags = 0);

/// Sets O_NONBLOCK on the open file description. Throws SyscallError.
void set_nonblocking(int fd);

/// Writes all of `data`; false if the other end is gone (EPIPE). SIGPIPE must be ignored. Throws SyscallError.
bool write_all(int fd, std::string_view data);

/// Reads exactly `size` bytes; nothing on end of file (short or at once). Throws SyscallError.
bool read_exactly(int fd, void *data, std::size_t size);

/// The whole of a small file below `dirfd` (AT_FDCWD: the working directory); proc and sysfs files included.
/// Throws SyscallError.
std::string read_file(const std::string &path, int dirfd = -100 /* AT_FDCWD */);

/// Writes a control file (cgroup, uid_map) in one write(2). Throws SyscallError.
void write_file(const std::string &path, std::string_view data, int dirfd = -100);

} // namespace pidleak::os

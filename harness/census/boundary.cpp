#include "harness/census/boundary.hpp"

#include "harness/census/mappings.hpp"
#include "harness/os/syscall_error.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace pidleak::census {

std::string identity_of_file(unsigned major, unsigned minor, std::uint64_t inode) {
  return fmt::format("file:{:02x}:{:02x}:{}", major, minor, inode);
}

std::string identity_of(pid_t pid, const os::ProcFd &fd) {
  if (fd.target.starts_with("pipe:[") || fd.target.starts_with("socket:["))
    return fd.target;
  if (fd.target.starts_with("anon_inode:[eventfd")) {
    auto id = os::fdinfo_lines(fd.info, "eventfd-id"); // Linux 5.2
    return id.empty() || id[0].empty() ? "eventfd" : "eventfd:" + id[0][0];
  }
  if (!fd.target.starts_with('/'))
    return fd.target;
  struct stat file {};
  if (::stat(fmt::format("/proc/{}/fd/{}", pid, fd.number).c_str(), &file) != 0)
    return "";
  return identity_of_file(major(file.st_dev), minor(file.st_dev), file.st_ino);
}

Boundary inherited() {
  Boundary boundary;
  for (const auto &fd : os::read_fds(::getpid()).value_or(std::vector<os::ProcFd>{}))
    boundary.outside.insert(identity_of(::getpid(), fd));
  for (const auto &mapping : read_mappings(::getpid()))
    if (mapping.is_shared && mapping.inode != 0)
      boundary.outside.insert(mapping.identity());
  boundary.outside.erase("");
  return boundary;
}

} // namespace pidleak::census

// For tests: a directory that goes with its owner.
#pragma once

#include "harness/os/syscall_error.hpp"

#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

namespace pidleak::testing {

class TemporaryDirectory {
public:
  TemporaryDirectory() : path_((std::filesystem::temp_directory_path() / "pidleak-test-XXXXXX").string()) {
    if (!::mkdtemp(path_.data()))
      os::throw_errno("mkdtemp({})", path_);
  }
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (::geteuid() == 0) { // what a test has mounted would be busy
      for (const auto &entry : std::filesystem::directory_iterator(path_, ignored))
        ::umount2(entry.path().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
      ::umount2(path_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string &name) const { return path_ + "/" + name; }
  const std::string &path() const { return path_; }

  std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto &entry : std::filesystem::directory_iterator(path_))
      all.insert(entry.path().filename().string());
    return all;
  }

private:
  std::string path_;
};

} // namespace pidleak::testing

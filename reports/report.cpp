#include "reports/report.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>

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

std::string directory_of(const std::string &path) {
  auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

/// A file beside `path` that has no name until it is complete, so that no death of this process leaves it behind.
class NamelessFile {
public:
  explicit NamelessFile(const std::string &path) : path_(path), directory_(directory_of(path)) {
    if (std::filesystem::is_directory(path))
      throw os::SyscallError(EISDIR, fmt::format("write({})", path));
    fd_ = os::UniqueFd::adopt(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)); // Linux 3.11
    if (!fd_)
      os::throw_errno("create a file in {}", directory_);
  }

  void write(const std::string &text) {
    os::write_all(fd_.get(), text);
    if (::fsync(fd_.get()) != 0)
      os::throw_errno("fsync(a file in {})", directory_);
  }

  /// linkat(2) does not replace: a temporary name after all, for the moment between two calls.
  void appear() {
    auto self = fmt::format("/proc/self/fd/{}", fd_.get());
    auto name = fmt::format("{}/.pidleak-report-{}", directory_, ::getpid());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      os::throw_errno("linkat({})", name);
    if (::rename(name.c_str(), path_.c_str()) != 0) {
      int error = errno;
      ::unlink(name.c_str());
      throw os::SyscallError(error, fmt::format("rename({}, {})", name, path_));
    }
  }

private:
  std::string path_, directory_;
  os::UniqueFd fd_;
};

} // namespace

void write_atomically(const std::string &path, const std::string &text) {
  NamelessFile file(path);
  file.write(text);
  file.appear();
}

void check_writable(const std::string &path) { NamelessFile file(path); }

} // namespace pidleak::reports

#include "harness/cli/output_file.hpp"

#include "harness/cli/command_line.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

namespace pidleak::cli {

std::string output_path(const std::string &given) {
  if (given.empty())
    throw UsageError("the name of a file to write is empty");
  return given == "-" ? standard_output : given;
}

bool is_regular_or_new(const std::string &path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) != 0 ? errno == ENOENT : S_ISREG(file.st_mode);
}

void check_output(const std::string &option, const std::string &path) {
  try {
    reports::check_writable(path);
  } catch (const os::SyscallError &e) {
    throw UsageError(fmt::format("{} {}: can't be written: {}", option, path, e.what()));
  }
}

} // namespace pidleak::cli

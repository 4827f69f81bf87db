// A failed system call, with what it was about: `waitid(P_PIDFD, 7) for pid 4312: ECHILD (No child processes)`.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

namespace pidleak::os {

/// Thrown for every errno that the caller does not tolerate by name.
class SyscallError : public std::system_error {
public:
  /// `error` is the errno; `call` names the call with its arguments and, where it has one, its pid.
  SyscallError(int error, const std::string &call);
  int error() const { return code().value(); }
  const char *what() const noexcept override { return text_->c_str(); }

private:
  std::shared_ptr<const std::string> text_; // copies of an exception must not throw
};

/// `ENOENT (No such file or directory)`
std::string describe_errno(int error);

/// Throws SyscallError for the current errno. Format arguments as for fmt::format.
template <class... Args>
[[noreturn]] void throw_errno(fmt::format_string<Args...> call, Args &&...args) {
  int error = errno; // formatting may change it
  throw SyscallError(error, fmt::format(call, std::forward<Args>(args)...));
}

} // namespace pidleak::os

#include "harness/os/launch.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

namespace process = boost::process::v2;

namespace pidleak::os {
namespace {

/// A Boost.Process initializer: lets named descriptors through exec, and resets signals if asked to.
/// (v2::posix::bind_fd of Boost 1.81 has an on_setup that returns nothing, which is undefined behaviour.)
struct InheritExactly {
  const Launch &what;

  boost::system::error_code on_setup(process::posix::default_launcher &launcher, const process::filesystem::path &,
                                     const char *const *) const {
    launcher.fd_whitelist.insert(launcher.fd_whitelist.end(), what.inherited.begin(), what.inherited.end());
    return {};
  }
  // Runs in the child between fork and exec: async-signal-safe calls only.
  boost::system::error_code on_exec_setup(process::posix::default_launcher &, const process::filesystem::path &,
                                          const char *const *) const {
    // Boost 1.81's own close_all() closes only what lies above the last descriptor on its list.
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0 && errno != ENOSYS &&
        errno != EINVAL) // before Linux 5.11
      return {errno, boost::system::system_category()};
    for (int fd : what.inherited)
      if (::fcntl(fd, F_SETFD, 0) != 0)
        return {errno, boost::system::system_category()};
    if (what.default_signals)
      reset_all_signals();
    return {};
  }
  // Also in the child. Boost would call exit(3) next, and run what this process has registered for its own exit.
  void on_exec_error(process::posix::default_launcher &, const process::filesystem::path &, const char *const *,
                     const boost::system::error_code &) const {
    ::_exit(EXIT_FAILURE);
  }
  // Never called, and needed: Boost looks whether this one could be, and calls the other.
  void on_exec_error(process::posix::default_launcher &, const boost::system::error_code &,
                     const process::filesystem::path &, const char *const *, const boost::system::error_code &) const;
};

/// One that could not exec, or could not be held for want of descriptors: no other code would end it or wait for it.
/// Its number is its own until it is waited for.
void end_child(pid_t pid) {
  if (pid <= 0)
    return;
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

template <class Stdio>
ProcessRef start(boost::asio::io_context &context, const Launch &what, Stdio &&stdio) {
  // Asio makes its reactor when it first needs one. Now: if that failed after the fork, no code would own the child.
  boost::asio::posix::stream_descriptor reactor(context);
  process::posix::default_launcher launcher;
  pid_t self = ::getpid();
  try {
    boost::system::error_code error;
    auto child = launcher(context.get_executor(), error, process::filesystem::path(what.program), what.arguments,
                          std::forward<Stdio>(stdio), InheritExactly{what});
    child.detach(); // its destructor would end the process; this project waits for children itself
    if (error)
      throw std::system_error(error.value(), std::generic_category(), "cannot execute " + what.program);
    return ProcessRef::of_child(launcher.pid);
  } catch (...) {
    if (::getpid() !=
        self) // Asio renews its reactor in the child: where that fails, no other code of the parent's runs
      ::_exit(EXIT_FAILURE);
    end_child(launcher.pid);
    throw;
  }
}

} // namespace

ProcessRef launch(const Launch &what) {
  boost::asio::io_context context;
  auto null = UniqueFd::adopt(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null)
    throw_errno("open(/dev/null)");
  auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
  return start(context, what,
               process::process_stdio{.in = or_null(what.standard_input),
                                      .out = or_null(what.standard_output),
                                      .err = or_null(what.standard_error)});
}

std::optional<std::string> output_of(Launch what) {
  auto out = open_pipe();
  what.standard_output = out.write_end.get();
  what.standard_error = -1;
  std::optional<ProcessRef> child;
  try {
    child = launch(what);
  } catch (const std::system_error &) {
    return {};
  }
  out.write_end.reset();
  set_nonblocking(out.read_end.get());
  auto deadline = Deadline::after(std::chrono::seconds(10));
  std::string text;
  char buffer[4096];
  for (bool open = true; open && !deadline.passed() && text.size() < 65536;) {
    pollfd readable{.fd = out.read_end.get(), .events = POLLIN, .revents = 0};
    ssize_t got = ::poll(&readable, 1, deadline.left_ms()) > 0 ? ::read(readable.fd, buffer, sizeof buffer) : -1;
    if (got > 0)
      text.append(buffer, static_cast<std::size_t>(got));
    open = got != 0;
  }
  out.read_end.reset();
  auto status = reap(*child, deadline);
  if (!status) {
    child->send(SIGKILL);
    reap(*child);
  }
  return status == WaitStatus{} ? std::optional(text) : std::nullopt;
}

std::string find_on_path(const std::string &name) {
  if (name.find('/') != name.npos)
    return name;
  return process::environment::find_executable(name).string();
}

} // namespace pidleak::os

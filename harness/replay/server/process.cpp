#include "harness/replay/server/process.hpp"

#include "harness/os/accounts.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

namespace pidleak::replay {
namespace {

constexpr std::size_t kept_output = 8192, longest_line = 4096, most_lines = 1000;

/// What can fail between fork and exec.
enum class Stage { directory, user, private_proc, exec };
struct Failure {
  Stage stage;
  int error;
};

/// Nothing: it stays who it is.
std::optional<os::Account> account_to_become(const std::string &name) {
  if (name.empty() || ::geteuid() != 0)
    return {};
  auto account = os::find_account(name);
  if (!account)
    throw std::runtime_error(fmt::format("there is no user \"{}\"", name));
  return account;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string> &more) {
  std::vector<std::string> all;
  for (char **entry = environ; *entry; ++entry)
    if (std::string text = *entry; !more.contains(text.substr(0, text.find('='))))
      all.push_back(std::move(text));
  for (const auto &[name, value] : more)
    all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char *> pointers_to(const std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  for (const auto &text : texts)
    pointers.push_back(const_cast<char *>(text.c_str())); // NOLINT: execve(2) changes none
  pointers.push_back(nullptr);
  return pointers;
}

/// In the child. Only what is async-signal-safe, but for the mount of a /proc, which allocates where it fails.
class Child {
public:
  Child(const Start &what, const std::string &program)
      : what_(what), program_(program), account_(account_to_become(what.user)),
        environment_texts_(environment_with(what.environment)), arguments_(pointers_to(what.command)),
        environment_(pointers_to(environment_texts_)),
        null_(os::UniqueFd::adopt(::open("/dev/null", O_RDWR | O_CLOEXEC))) {}

  [[noreturn]] void run(int output, int failures) const {
    os::reset_all_signals();
    if (what_.sigterm == Sigterm::ignored)
      os::ignore_sigterm();
    if (what_.sigterm == Sigterm::blocked)
      os::block_sigterm();
    ::setsid(); // as in a container: Apache ends with a signal to its whole process group
    ::dup2(null_.get(), 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    if (what_.as_pid_1)
      try {
        os::mount_private_proc();
      } catch (const os::SyscallError &e) {
        fail(failures, Stage::private_proc, e.error());
      }
    if (account_ &&
        (::setgroups(1, &account_->group) != 0 || ::setgid(account_->group) != 0 || ::setuid(account_->user) != 0))
      fail(failures, Stage::user, errno);
    if (!what_.directory.empty() && ::chdir(what_.directory.c_str()) != 0)
      fail(failures, Stage::directory, errno);
    ::execve(program_.c_str(), arguments_.data(), environment_.data());
    fail(failures, Stage::exec, errno);
  }

private:
  [[noreturn]] static void fail(int failures, Stage stage, int error) {
    Failure failure{.stage = stage, .error = error};
    ssize_t ignored = ::write(failures, &failure, sizeof failure);
    ::_exit(ignored > 0 ? 127 : 126);
  }

  const Start &what_;
  const std::string &program_;
  std::optional<os::Account> account_;
  std::vector<std::string> environment_texts_;
  std::vector<char *> arguments_, environment_;
  os::UniqueFd null_;
};

std::string words_of(const Failure &failure, const Start &what, const std::string &program) {
  const char *why = std::strerror(failure.error);
  switch (failure.stage) {
  case Stage::directory:
    return fmt::format("can't go to {}: {}", what.directory, why);
  case Stage::user:
    return fmt::format("can't become {}: {}", what.user, why);
  case Stage::private_proc:
    return fmt::format("can't mount a /proc for its PID namespace: {}", why);
  case Stage::exec:
    break;
  }
  return fmt::format("{} can't be executed: {}", program, why);
}

/// fork(2), the child in a PID namespace of its own where that is wanted.
pid_t fork_as(const Start &what) {
  if (!what.as_pid_1)
    return ::fork();
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)); // no stack: as fork(2) does it
}

os::ProcessRef start(const Start &what, const os::Pipe &output) {
  auto program = os::find_on_path(what.command.front());
  if (program.empty())
    throw std::runtime_error(fmt::format("{} is not to be found on PATH", what.command.front()));
  auto failures = os::open_pipe();
  Child child(what, program);
  pid_t pid = fork_as(what);
  if (pid < 0)
    os::throw_errno("clone({}) of the server", what.as_pid_1 ? "CLONE_NEWPID" : "");
  if (pid == 0)
    child.run(output.write_end.get(), failures.write_end.get());
  auto process = os::ProcessRef::of_child(pid);
  failures.write_end.reset();
  Failure failure{};
  if (os::read_exactly(failures.read_end.get(), &failure, sizeof failure)) {
    os::reap(process);
    throw std::runtime_error(words_of(failure, what, program));
  }
  return process;
}

} // namespace

Started::Started(const Start &what) : output_(os::open_pipe()), process_(start(what, output_)) {
  output_.write_end.reset();
  os::set_nonblocking(output_.read_end.get());
}

std::string Started::last_line() const {
  auto end = text_.find_last_not_of("\n\r ");
  if (end == text_.npos)
    return "";
  auto before = text_.find_last_of('\n', end);
  auto begin = before == text_.npos ? 0 : before + 1;
  return text_.substr(begin, end + 1 - begin);
}

void Started::read() {
  char buffer[65536];
  ssize_t got = 1;
  // Bounded: a process that writes faster than this reads waits, as with any pipe.
  for (int rounds = 0; is_open_ && rounds < 16 && (got = ::read(output_.read_end.get(), buffer, sizeof buffer)) > 0;
       ++rounds) {
    text_.append(buffer, static_cast<std::size_t>(got));
    written_ += static_cast<std::size_t>(got);
    if (text_.size() > kept_output)
      text_.erase(0, text_.size() - kept_output);
    for (ssize_t i = 0; i < got; ++i)
      if (buffer[i] != '\n') {
        if (line_.size() < longest_line)
          line_ += buffer[i];
      } else if (lines_.size() < most_lines) {
        lines_.push_back(std::exchange(line_, {}));
      } else {
        line_.clear();
      }
  }
  is_open_ = is_open_ && got != 0;
}

} // namespace pidleak::replay

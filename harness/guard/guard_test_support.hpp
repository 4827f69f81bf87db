// For tests of `pidleak guard`: runs it as a user does, with nothing in between but what the test asks for.
#pragma once

#include "harness/cli/cli_test_support.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace pidleak::testing {

/// A filter that says no to one system call, with that errno, in this process and all that it starts.
inline void deny(long call, int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{.len = std::size(program), .filter = program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    os::throw_errno("prctl(PR_SET_SECCOMP)");
}

/// `pidleak guard OPTIONS -- COMMAND`.
inline std::vector<std::string> guarded(std::vector<std::string> options, const std::vector<std::string> &command) {
  options.insert(options.begin(), "guard");
  options.emplace_back("--");
  options.insert(options.end(), command.begin(), command.end());
  return options;
}

inline Ran guard(const std::vector<std::string> &options, const std::vector<std::string> &command) {
  return run(guarded(options, command));
}

inline Ran guard_shell(const std::vector<std::string> &options, const std::string &script) {
  return guard(options, {"/bin/sh", "-c", script});
}

/// The same script with guard and without.
inline Ran shell(const std::string &script) { return run({"-c", script}, "/bin/bash"); }
inline std::string guard_then(const std::string &command) { return PIDLEAK_BINARY_DIR "/pidleak guard -- " + command; }

/// A guard whose output is read while it runs.
class Running {
public:
  explicit Running(const std::vector<std::string> &arguments)
      : out_(os::open_pipe()), guard_(os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak",
                                                  .arguments = arguments,
                                                  .standard_output = out_.write_end.get(),
                                                  .standard_error = out_.write_end.get()})) {
    out_.write_end.reset();
  }
  Running(const Running &) = delete;
  Running &operator=(const Running &) = delete;
  ~Running() {
    if (!ended_)
      guard_.send(SIGKILL);
  }

  const os::ProcessRef &guard() const { return guard_; }
  const std::string &text() const { return text_; }

  /// Reads on until the text is there.
  void wait_for(const std::string &wanted, Where where = BOOST_CURRENT_LOCATION) {
    auto deadline = Deadline::after(hang_bound / 2);
    while (text_.find(wanted) == std::string::npos)
      expect(read_some(deadline), "it says `" + wanted + "`, and not only `" + text_ + "`", where);
  }
  /// The pid that it has said after `word`.
  os::ProcessRef process_called(const std::string &word) {
    wait_for(word);
    wait_for("\n");
    return os::ProcessRef::open(std::stoi(text_.substr(text_.find(word) + word.size()))).value();
  }
  /// Its status, once it has ended and every process has closed its output.
  int finish() {
    auto deadline = Deadline::after(hang_bound / 2);
    while (read_some(deadline)) {
    }
    auto status = os::reap(guard_, deadline);
    expect(status.has_value(), "guard ends; it says `" + text_ + "`");
    ended_ = true;
    return status->signaled ? 128 + status->value : status->value;
  }

private:
  bool read_some(Deadline deadline) {
    pollfd readable{.fd = out_.read_end.get(), .events = POLLIN, .revents = 0};
    char buffer[4096];
    ssize_t got = ::poll(&readable, 1, deadline.left_ms()) > 0 ? ::read(readable.fd, buffer, sizeof buffer) : -1;
    text_.append(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
    return got > 0;
  }
  os::Pipe out_;
  os::ProcessRef guard_;
  std::string text_;
  bool ended_ = false;
};

/// A python without a wrapper script, if there is one.
inline std::string python() {
  return ::access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : os::find_on_path("python3");
}

/// A directory of the test's own, gone with it.
class Scratch {
public:
  Scratch() {
    std::string pattern = std::filesystem::temp_directory_path() / "guard-test-XXXXXX";
    if (!::mkdtemp(pattern.data()))
      os::throw_errno("mkdtemp({})", pattern);
    path_ = pattern;
  }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }

  std::string operator/(const std::string &name) const { return path_ + "/" + name; }
  std::string text_of(const std::string &name) const {
    std::ifstream file(*this / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string &name, const std::string &text) const { std::ofstream(*this / name) << text; }
  nlohmann::json report(const std::string &name = "report.json") const {
    return nlohmann::json::parse(text_of(name)).at("reports").at(0);
  }

private:
  std::string path_;
};

/// The report on a script of sh, whose $1 is a scratch directory. It has a second to come to rest.
inline nlohmann::json report_on(const std::string &script, const Scratch &scratch,
                                std::vector<std::string> options = {}) {
  options.insert(options.end(), {"--grace", "1", "--report", scratch / "report.json"});
  guard(options, {"/bin/sh", "-c", script, "sh", scratch / "."});
  expect(os::reap_exited_children(), "no child is left");
  return scratch.report();
}

inline const nlohmann::json &process_named(const nlohmann::json &processes, const std::string &name) {
  for (const auto &process : processes)
    if (process.at("comm") == name)
      return process;
  throw std::runtime_error(name + " is not among " + processes.dump());
}

inline std::string first_finding(const nlohmann::json &process) {
  const auto &finding = process.at("diagnosis").at(0);
  return fmt::format("{}: {}", finding.at("cause").get<std::string>(), finding.at("text").get<std::string>());
}

} // namespace pidleak::testing

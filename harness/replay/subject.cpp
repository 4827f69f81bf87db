#include "harness/replay/subject.hpp"

#include "harness/os/launch.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

namespace pidleak::replay {
namespace {

constexpr std::size_t kept_error_output = 8192;
constexpr std::size_t most_messages = 100000; // a replay has some hundreds

os::ProcessRef start(const std::string &program, const std::vector<std::string> &arguments, const os::Pipe &commands,
                     const os::Pipe &events, const os::Pipe &errors) {
  return os::launch({.program = program,
                     .arguments = arguments,
                     .standard_input = commands.read_end.get(),
                     .standard_output = events.write_end.get(),
                     .standard_error = errors.write_end.get(),
                     .default_signals = true}); // the harness's own dispositions are not part of the scenario
}

} // namespace

Subject::Subject(const std::string &program, const std::vector<std::string> &arguments, const Channel &channel,
                 int lifeline)
    : commands_(os::open_pipe()), events_(os::open_pipe()), errors_(os::open_pipe()),
      process_(start(program, arguments, commands_, events_, errors_)),
      lifeline_(lifeline), subject_{.fd = events_.read_end.get(), .lines = {}}, workers_{.fd = channel.events_fd(),
                                                                                         .lines = {}} {
  commands_.read_end.reset();
  events_.write_end.reset();
  errors_.write_end.reset();
  os::set_nonblocking(events_.read_end.get());
  os::set_nonblocking(errors_.read_end.get());
}

void Subject::send(const protocol::Message &command) {
  if (os::write_all(commands_.write_end.get(), command.line()))
    return;
  os::wait_for_any_exit({process_.pidfd()}, milliseconds(100)); // the usual reason, and then it says more
  fail(fmt::format("{} before \"{}\"", process_.has_exited() ? how_it_ended() : "closed its standard input",
                   command.name()));
}

std::string Subject::how_it_ended() const {
  auto status = process_.exit_status();
  return status ? status->text() : "exited";
}

void Subject::fail(const std::string &what) {
  read_error_output();
  throw SubjectFailure(fmt::format("the subject (pid {}) {}", process_.pid(), what));
}

std::optional<protocol::Message> Subject::next(std::chrono::microseconds at_most, const std::vector<int> &exits) {
  auto end = Clock::now() + at_most;
  for (;;) {
    if (auto message = take_line())
      return message;
    std::vector<pollfd> fds = {{.fd = lifeline_, .events = POLLIN, .revents = 0},
                               {.fd = subject_.open ? subject_.fd : -1, .events = POLLIN, .revents = 0},
                               {.fd = workers_.fd, .events = POLLIN, .revents = 0},
                               {.fd = errors_open_ ? errors_.read_end.get() : -1, .events = POLLIN, .revents = 0},
                               {.fd = exit_expected_ ? -1 : process_.pidfd(), .events = POLLIN, .revents = 0}};
    for (int pidfd : exits)
      fds.push_back({.fd = pidfd, .events = POLLIN, .revents = 0});
    auto left =
        std::max<long long>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(end - Clock::now()).count());
    timespec timeout{.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    int ready = ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    if (ready < 0 && errno != EINTR)
      os::throw_errno("ppoll(subject, workers, {} pidfds)", exits.size());
    if (ready == 0)
      return {};
    if (fds[0].revents)
      throw LifelineCut();
    if (fds[3].revents)
      read_error_output();
    bool from_subject = fds[1].revents && read_into(subject_), from_workers = fds[2].revents && read_into(workers_);
    if (from_subject || from_workers)
      continue;
    if (fds[1].revents && !subject_.open && !exit_expected_) {
      os::wait_for_any_exit({process_.pidfd()}, milliseconds(100)); // the usual reason, and then it says more
      if (!process_.has_exited())
        fail("closed its standard output");
    }
    if (fds[4].revents) { // and everything that it said before has been read
      fail(how_it_ended() + (messages_ == 0 ? " before it said hello" : ""));
    }
    bool some_exit = std::any_of(fds.begin() + 5, fds.end(), [](const pollfd &fd) { return fd.revents != 0; });
    if (some_exit || Clock::now() >= end) // also while standard error is being flooded
      return {};
  }
}

bool Subject::read_into(Stream &stream) {
  char buffer[65536];
  ssize_t got = ::read(stream.fd, buffer, sizeof buffer);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR)
      return false;
    os::throw_errno("read(events)");
  }
  stream.open = got > 0;
  stream.lines.append({buffer, static_cast<std::size_t>(got)});
  return got > 0;
}

void Subject::read_error_output() {
  char buffer[65536];
  ssize_t got = 1;
  if (!errors_open_)
    return;
  // Bounded: a process that writes faster than this reads waits, as with any pipe.
  for (int rounds = 0; rounds < 4 && (got = ::read(errors_.read_end.get(), buffer, sizeof buffer)) > 0; ++rounds) {
    error_output_.append(buffer, static_cast<std::size_t>(got));
    errors_written_ += static_cast<std::size_t>(got);
    if (error_output_.size() > kept_error_output)
      error_output_.erase(0, error_output_.size() - kept_error_output);
  }
  errors_open_ = got != 0;
}

std::optional<protocol::Message> Subject::take_line() {
  try {
    for (Stream *stream : {&subject_, &workers_})
      if (auto line = stream->lines.next()) {
        if (++messages_ > most_messages)
          fail(fmt::format("sent more than {} messages", most_messages));
        return protocol::Message::parse(*line, "event");
      }
  } catch (const protocol::ProtocolError &e) {
    fail(std::string("does not speak the protocol: ") + e.what());
  }
  return {};
}

} // namespace pidleak::replay

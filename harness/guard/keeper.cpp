#include "harness/guard/keeper.hpp"

#include "harness/guard/ending_words.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/installation.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <exception>

namespace pidleak::guard {
namespace {

constexpr char end_of_words = '\0'; // the end of file says it as well, if the keeper could close its end
constexpr milliseconds look_bound = default_grace + milliseconds(60000); // a look at very many takes its time

/// For the looker to read, which inherits it; none if the kernel refuses.
os::UniqueFd write_genealogy(const census::Genealogy &genealogy) {
  auto file = os::UniqueFd::adopt(::memfd_create("genealogy", 0));
  try {
    if (file)
      os::write_all(file.get(), genealogy.write());
    return file;
  } catch (const std::exception &) {
    return {};
  }
}

census::Genealogy read_genealogy(os::UniqueFd file) {
  if (!file)
    return census::Genealogy("it could not be handed on");
  try {
    return census::Genealogy::read(os::read_file(fmt::format("/proc/self/fd/{}", file.get())));
  } catch (const std::exception &e) {
    return census::Genealogy(e.what());
  }
}

class Keeper {
public:
  Keeper(const std::vector<std::string> &command, const std::optional<Original> &original)
      : command_(command), guarded_(original) {}

  std::optional<End> run() {
    os::become_subreaper();
    if (guarded_.start(command_) != 0)
      return {};
    try {
      end_ = guarded_.wait();
      if (os::reap_exited_children()) {
        tell_hint();
        return end_;
      }
      look();
    } catch (const std::exception &e) {
      failure_ = e.what();
    }
    if (!is_settled())
      settle_alone();
    tell_hint();
    if (end_ && end_->status == 0 && something_was_left_)
      end_->status = leak_status;
    return end_ ? end_ : End{.status = 5}; // the harness broke: it was not waited for
  }

private:
  void tell_hint() {
    const auto &programs = guarded_.genealogy().handed_over();
    if (auto hint = hint_of({programs.begin(), programs.end()}); !hint.empty())
      std::fputs(fmt::format("pidleak guard: {}\n", hint).c_str(), stderr);
  }

  /// Found by the look, and nothing is there any more.
  bool is_settled() const {
    try {
      return end_ && told_ && os::reap_exited_children();
    } catch (const std::exception &) {
      return false;
    }
  }

  void look() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      os::throw_errno("socketpair()");
    line_ = os::UniqueFd::adopt(ends[0]);
    auto lookers = os::UniqueFd::adopt(ends[1]);
    if (::fcntl(lookers.get(), F_SETFD, 0) != 0)
      os::throw_errno("fcntl(F_SETFD)");
    auto genealogy = write_genealogy(guarded_.genealogy());
    auto program = os::sibling_program("pidleak-cli");
    std::vector<std::string> arguments = {program,
                                          "guard",
                                          "--left-by",
                                          write_end(*end_),
                                          "--keeper-line",
                                          std::to_string(lookers.get()),
                                          "--genealogy",
                                          std::to_string(genealogy.get()),
                                          "--"};
    arguments.insert(arguments.end(), command_.begin(), command_.end());
    if (int error = guarded_.start_own(arguments); error != 0)
      throw os::SyscallError(error, fmt::format("execve({})", program));
    looker_runs_ = true;
    lookers.reset();
    auto looked = guarded_.wait(
        {.timeout = look_bound},
        {.reaped = [this](pid_t) { tell("r"); }, .fd = line_.get(), .readable = [this] { return hear(); }});
    looker_runs_ = false;
    if (looked.status != 0)
      failure_ = looked.signal != 0 ? fmt::format("it was ended by signal {}", looked.signal)
                                    : fmt::format("it ended with status {}", looked.status);
    else
      told_ = concluded_;
  }

  /// The looker has come to its conclusion; false: it is gone, which its exit will tell. Throws SyscallError.
  bool hear() {
    char verdict = 0;
    ssize_t got = ::recv(line_.get(), &verdict, 1, 0);
    if (got < 0 && errno != EAGAIN) // EINTR as well: what is tried again has a bound
      os::throw_errno("recv() from the looker");
    if (got <= 0)
      return got < 0;
    concluded_ = true;
    guarded_.lift_limit(); // it may have to wait for a reader
    if (verdict == 'l') {
      something_was_left_ = true;
      auto words =
          words_of(os::end_all_children(Deadline::after(os::end_bound), {guarded_.process().pid()}, default_end_grace));
      pollfd writable{.fd = line_.get(), .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, 1000); // it reads what is in between
      tell(fmt::format("d{}{}", words, end_of_words));
    }
    line_.reset();
    return false;
  }

  void tell(const std::string &words) {
    if (line_)
      ::send(line_.get(), words.data(), words.size(), MSG_NOSIGNAL); // one that is full or gone misses nothing it needs
  }

  /// Without a look: waits for the grace, ends, and says what /proc says at a glance.
  void settle_alone() {
    if (looker_runs_)
      end_looker();
    auto grace = Deadline::after(end_ ? default_grace : milliseconds(0));
    bool all_have_left = false;
    for (Backoff backoff; !all_have_left; os::wait_for_any_exit({}, backoff.next())) {
      bool is_last = grace.passed();
      try {
        all_have_left = os::reap_exited_children();
      } catch (const std::exception &e) {
        failure_ = e.what();
      }
      if (is_last)
        break;
    }
    if (end_ && all_have_left)
      return;
    auto names = names_of_children();
    auto ending = os::end_all_children(Deadline::after(os::end_bound), {}, default_end_grace);
    something_was_left_ = true;
    std::fputs(fmt::format("pidleak guard: {}: {}{}; it could not be examined: {}\n  {}\n", as_one_line(command_),
                           end_ ? "something outlived the command: " : "guard could not wait for it, and ended it: ",
                           names, failure_.empty() ? "the examining process missed it" : failure_, words_of(ending))
                   .c_str(),
               stderr);
  }

  /// It was lost, and is none of those that the command has left.
  void end_looker() {
    try {
      guarded_.process().send(SIGKILL);
      os::reap(guarded_.process(), Deadline::after(os::end_bound));
    } catch (const std::exception &) { // it is ended with the others
    }
  }

  static std::string names_of_children() {
    std::vector<std::string> names;
    try {
      for (pid_t pid : os::read_children(::getpid())) {
        auto stat = os::read_stat(pid);
        names.push_back(fmt::format("pid {} {}", pid, stat ? as_visible(stat->comm) : "(not visible)"));
      }
    } catch (const std::exception &) {
      names.emplace_back("not all can be named");
    }
    return names.empty() ? "it can't be named" : fmt::format("{}", fmt::join(names, ", "));
  }

  /// Any bytes, without those that a terminal would obey.
  static std::string as_visible(std::string comm) {
    for (char &byte : comm)
      if (byte < ' ' || byte > '~')
        byte = '?';
    return comm;
  }

  static std::string as_one_line(const std::vector<std::string> &command) {
    constexpr std::size_t most = 120;
    std::string line;
    for (const auto &word : command)
      if (line.size() <= most)
        line.append(line.empty() ? "" : " ").append(as_visible(word.substr(0, most)));
    return line.size() <= most ? line : line.substr(0, most) + "...";
  }

  const std::vector<std::string> &command_;
  Command guarded_;
  std::optional<End> end_;
  os::UniqueFd line_;
  bool looker_runs_ = false, concluded_ = false, told_ = false, something_was_left_ = false;
  std::string failure_;
};

} // namespace

LeftToParent KeeperLine::left_to_parent(int genealogy) {
  return {.reaped = [this] { return take_reaped(); },
          .readable_when_reaped = fd_.get(),
          .genealogy = read_genealogy(os::UniqueFd::adopt(genealogy))};
}

std::size_t KeeperLine::take_reaped() {
  char bytes[4096];
  ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::string KeeperLine::conclude(bool something_is_left) {
  if (::send(fd_.get(), something_is_left ? "l" : "c", 1, MSG_NOSIGNAL) != 1)
    return "";
  if (!something_is_left) // there is nothing to hear about
    return "";
  std::string words;
  char bytes[4096];
  while (words.find(end_of_words) == words.npos) {
    pollfd readable{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, -1) < 0 && errno != EINTR)
      return "";
    ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0)
      break;
    if (got > 0)
      words.append(bytes, static_cast<std::size_t>(got));
    else if (errno != EAGAIN) // EINTR as well: a call that does not wait has no reason for it
      break;
  }
  auto done = words.find('d'); // after the last `r`
  return done == words.npos ? "" : words.substr(done + 1, words.find(end_of_words) - done - 1);
}

std::optional<End> keep(const std::vector<std::string> &command, const std::optional<Original> &original) {
  return Keeper(command, original).run();
}

} // namespace pidleak::guard

#include "harness/replay/command.hpp"

#include "harness/base/pattern.hpp"
#include "harness/census/tree.hpp"
#include "harness/os/inet_sockets.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/poll.hpp"
#include "harness/os/seize.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/replay/execution.hpp"
#include "harness/replay/heard.hpp"
#include "harness/replay/subject.hpp"
#include "harness/replay/verdict.hpp"
#include "reports/census_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>

namespace pidleak::replay {

using reports::Report;
using reports::Verdict;

namespace {

constexpr int exec_failed = 127; // as shells have it

bool exists(const std::string &path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) == 0;
}

/// Forked and held: it executes its program at the word of its parent, which may have taken hold of it by then.
class HeldCommand {
public:
  explicit HeldCommand(const CommandPlan &plan) : word_(os::open_pipe()), output_(os::open_pipe()) {
    std::vector<char *> arguments;
    for (const auto &argument : plan.command)
      arguments.push_back(const_cast<char *>(argument.c_str())); // NOLINT: execvp(3) changes none
    arguments.push_back(nullptr);
    pid_t pid = ::fork();
    if (pid < 0)
      os::throw_errno("fork() of the command");
    if (pid == 0)
      execute(arguments, !plan.until_line.empty());
    process_ = os::ProcessRef::of_child(pid);
    word_.read_end.reset();
    output_.write_end.reset();
    os::set_nonblocking(output_.read_end.get());
  }

  const os::ProcessRef &process() const { return *process_; }
  void go() { os::write_all(word_.write_end.get(), "!"); }
  int output_fd() const { return output_.read_end.get(); }

private:
  [[noreturn]] void execute(const std::vector<char *> &arguments, bool tells) {
    char word = 0;
    os::reset_all_signals();
    bool is_to_go = ::read(word_.read_end.get(), &word, 1) == 1;
    int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(null, 0);
    ::dup2(tells ? output_.write_end.get() : null, 1);
    ::dup2(tells ? output_.write_end.get() : null, 2);
    if (is_to_go)
      ::execvp(arguments[0], arguments.data());
    ::_exit(exec_failed);
  }

  os::Pipe word_, output_; // both closed by exec
  std::optional<os::ProcessRef> process_;
};

class CommandRun {
public:
  CommandRun(const Plan &plan, const Inside &inside)
      : plan_(plan), command_(*plan.command), inside_(inside), line_(command_.until_line), timeline_(inside.since) {
    report_.tier = inside.tier;
    report_.tier_notes = inside.notes;
  }

  Report run() {
    try {
      auto judged = judge();
      report_.verdict = judged.verdict;
      report_.reason = judged.reason;
    } catch (const Judged &end) {
      report_.verdict = end.verdict;
      report_.reason = end.reason;
    } catch (const os::TracingRefused &e) {
      report_.verdict = Verdict::skipped;
      report_.reason = e.what();
    } catch (const std::exception &e) {
      report_.reason = e.what();
    }
    report_.total_ms = timeline_.now_ms();
    report_.timeline = timeline_.take();
    return std::move(report_);
  }

private:
  Judged judge() {
    if (needs_real_oom(plan_) && inside_.memory_cgroup.empty())
      throw Judged{Verdict::skipped, "no memory cgroup for a real OOM kill: " + inside_.memory_lacks};
    if (!command_.until_file.empty() && exists(command_.until_file))
      throw Judged{Verdict::broken, command_.until_file + " is there before the command has made it"};
    held_.emplace(command_);
    census::Tree tree(tree_of(inside_, process().pid()));
    if (plan_.is_traced())
      execution_.emplace(plan_, inside_, process(), spellings<CommandStep>());
    enter(CommandStep::run);
    held_->go();
    timeline_.note("subject-started", process().pid(), command_.command.front());
    deadline_ = Deadline::after(plan_.step_bound);
    bool has_come = command_.is_awaited() ? wait_until_ready() : true;
    if (command_.is_awaited() && !process().has_exited())
      stop();
    if (execution_) {
      wait_while_traced(tree);
      execution_->let_go();
    }
    auto since = Clock::now();
    auto settled = settle(
        tree, [&] { return process().has_exited(); }, true);
    bool ended = process().has_exited();
    if (ended) {
      if (auto status = process().exit_status())
        timeline_.note("exited", process().pid(), status->text());
      since = Clock::now();
      deadline_ = Deadline::after(plan_.settle_bound);
      settled = settle(tree, {}, false);
    }
    reports::record_settled(report_, settled, since);
    take_census(tree, settled);
    return verdict(ended, has_come);
  }

  const os::ProcessRef &process() const { return held_->process(); }

  void enter(CommandStep step) {
    if (execution_)
      execution_->enter(static_cast<std::size_t>(step));
  }

  bool is_ready() {
    return (command_.until_port != 0 && os::is_listening(command_.until_port)) ||
           (!command_.until_file.empty() && exists(command_.until_file)) || has_said_line_;
  }

  /// After a fault it may never be. False if it was not within the bound.
  bool wait_until_ready() {
    Backoff backoff;
    bool ready = is_ready();
    for (; !ready && !process().has_exited() && !deadline_.passed(); ready = is_ready())
      wait(backoff.next(), {process().pidfd()});
    timeline_.note(ready ? "ready" : "not-ready");
    return ready || process().has_exited() || (execution_ && execution_->is_fault_done());
  }

  /// Until it has ended, or nothing moves any more. settle() would reap, which is not for now: see Tracer.
  void wait_while_traced(const census::Tree &tree) {
    Backoff backoff(std::chrono::milliseconds(1));
    while (!process().has_exited() && !deadline_.passed() && !tree.at_rest())
      wait(backoff.next(), {process().pidfd()});
  }

  void stop() {
    enter(CommandStep::stop);
    timeline_.note("signal-sent", process().pid(), os::signal_name(command_.stop_signal));
    process().send(command_.stop_signal);
    deadline_ = Deadline::after(plan_.step_bound);
  }

  census::Settled settle(census::Tree &tree, const std::function<bool()> &done, bool may_stay) {
    return census::settle({.see = [&] { return tree.see([&](pid_t) { return may_stay; }); },
                           .rest = [&](const auto &walk) { return tree.rest(walk); },
                           .wait =
                               [this](std::chrono::microseconds at_most, const std::vector<int> &exits) {
                                 wait(at_most, exits);
                                 return false; // a command says nothing that matters
                               },
                           .done = done,
                           .is_over = [&] { return deadline_.passed(); }});
  }

  void wait(std::chrono::microseconds at_most, const std::vector<int> &exits) {
    std::vector<pollfd> fds = {{.fd = inside_.lifeline, .events = POLLIN, .revents = 0},
                               {.fd = output_is_open_ ? held_->output_fd() : -1, .events = POLLIN, .revents = 0}};
    for (int pidfd : exits)
      fds.push_back({.fd = pidfd, .events = POLLIN, .revents = 0});
    os::poll_for(fds, at_most);
    if (fds[0].revents)
      throw LifelineCut();
    if (fds[1].revents)
      read_output();
  }

  void read_output() {
    char buffer[4096];
    auto got = ::read(held_->output_fd(), buffer, sizeof buffer);
    output_is_open_ = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    for (ssize_t i = 0; i < got; ++i) {
      if (buffer[i] != '\n') {
        said_ += buffer[i];
        continue;
      }
      has_said_line_ = has_said_line_ || (!command_.until_line.empty() && line_.is_in(said_));
      said_.clear();
    }
  }

  void take_census(const census::Tree &tree, const census::Settled &settled) {
    report_.cgroup_agrees = tree.agrees_with_cgroup(settled.walk);
    reports::record_remaining(report_, tree.examine(settled.walk, {}), tree.examine_subject(settled.walk),
                              {.harness = ::getpid()});
    for (const auto &one : report_.remaining)
      timeline_.note("remains", one.pid, spell(one.kind));
  }

  Judged verdict(bool ended, bool has_come) {
    if (execution_) {
      execution_->report(report_, [this](pid_t pid) -> std::optional<tracing::Role> {
        return pid == process().pid() ? tracing::Role::command : tracing::Role::child;
      });
      if (report_.point_fault && !report_.point_fault->reached)
        return {Verdict::invalid, "the fault was not shown: " + report_.evidence.back().text};
    }
    auto count = report_.remaining.size();
    auto who = reports::count_of_processes(count);
    if (report_.cgroup_agrees == false && report_.census_complete)
      return {Verdict::broken, "the census missed a process that the cgroup lists"};
    if (auto status = process().exit_status();
        ended && status == os::WaitStatus{.signaled = false, .value = exec_failed} && count == 0 && !plan_.point_fault)
      return {Verdict::broken,
              fmt::format("cannot execute {}, or it exited with {}", command_.command.front(), exec_failed)};
    if (!has_come)
      return {Verdict::broken, fmt::format("the command was not ready within {} ms", plan_.step_bound.count())};
    if (!ended)
      return {Verdict::hung,
              "the command never ended; " + (count == 0 ? std::string("it has no child") : who + " remain below it")};
    return {count == 0 ? Verdict::clean : Verdict::leaked,
            count == 0 ? "nothing is left of the command" : who + " outlived the command"};
  }

  const Plan &plan_;
  const CommandPlan &command_;
  const Inside &inside_;
  Pattern line_;
  Timeline timeline_;
  Report report_;
  std::optional<HeldCommand> held_;
  std::optional<Execution> execution_;
  Deadline deadline_ = Deadline::after(milliseconds(0));
  std::string said_; // of the line that has not ended yet
  bool has_said_line_ = false, output_is_open_ = true;
};

} // namespace

Report drive_command(const Plan &plan, const Inside &inside) { return CommandRun(plan, inside).run(); }

} // namespace pidleak::replay

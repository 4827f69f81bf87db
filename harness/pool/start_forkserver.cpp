// Start method forkserver: the owner's end. One byte asks for a worker, its pid comes back, and a second byte says
// that the owner holds a pidfd of it: before that the server does not reap, so the pid can't be another's. An owner
// that could not get a pidfd says so instead: the server ends the worker and waits for it, and then answers.
//
// The server may end before its children do: killed by the kernel or the owner, which does not wait for it without end.
// Its children are then those of the nearest subreaper above it, and that may be the owner: it reaps what is its own,
// through the pidfds that it holds. A worker whose pid the server had not told yet leaves when the call queue ends; but
// not one that waits for a lock which another took with it: workers_leave_with_parent is for that.
#include "harness/os/launch.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/pool/starter.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <csignal>

namespace pidleak::pool {
namespace {

/// A worker that is another process's child: the server reaps it, this process can only see it end.
class ServersChild final : public WorkerProcess {
public:
  explicit ServersChild(os::ProcessRef ref) : WorkerProcess(std::move(ref)) {}
  bool alive() override {
    if (!ref_.has_exited())
      return true;
    if (!status_)
      status_ = status_if_known();
    return false;
  }
  void join() override {
    pollfd ended{.fd = ref_.pidfd(), .events = POLLIN, .revents = 0};
    while (::poll(&ended, 1, -1) < 0)
      if (errno != EINTR)
        os::throw_errno("poll(pidfd {}) for pid {}", ref_.pidfd(), ref_.pid());
    alive();
  }
  bool join_before(Deadline deadline) override {
    while (alive() && !deadline.passed())
      os::wait_for_any_exit({ref_.pidfd()}, milliseconds(deadline.left_ms()));
    return !alive();
  }
  void reap_if_adopted() override {
    try {
      if (ref_.has_exited())
        os::reap(ref_);
    } catch (const os::SyscallError &e) {
      if (e.error() != ECHILD) // the server waited for it, or another process has adopted it
        throw;
    }
  }

private:
  std::optional<os::WaitStatus> status_if_known() const {
    try {
      return ref_.exit_status();
    } catch (const os::SyscallError &e) {
      if (e.error() != EMFILE && e.error() != ENFILE) // /proc can't be read: that it has exited is known all the same
        throw;
      return {};
    }
  }
};

class ForkServerStarter final : public Starter {
public:
  ForkServerStarter(WorkerEnds ends, Program program)
      : requests_(os::open_pipe()), replies_(os::open_pipe()), server_(launch(ends, std::move(program))) {
    requests_.read_end.reset();
    replies_.write_end.reset();
  }

  std::unique_ptr<WorkerProcess> start() override {
    pid_t pid = 0;
    if (!os::write_all(requests_.write_end.get(), "+") || !os::read_exactly(replies_.read_end.get(), &pid, sizeof pid))
      throw std::runtime_error(fmt::format("the fork server (pid {}) is gone", server_.ref().pid()));
    try {
      auto worker = std::make_unique<ServersChild>(os::ProcessRef::open(pid).value());
      os::write_all(requests_.write_end.get(), ".");
      return worker;
    } catch (...) { // out of descriptors: nothing else would end it
      if (char ended = 0; os::write_all(requests_.write_end.get(), "-"))
        os::read_exactly(replies_.read_end.get(), &ended, 1);
      throw;
    }
  }

  std::vector<Helper> helpers() const override {
    if (stopped_)
      return {};
    return {{.role = "fork server", .pid = server_.ref().pid()}};
  }

  void stop(Deadline deadline) override {
    if (stopped_)
      return;
    stopped_ = true;
    requests_.write_end.reset(); // the server's end of file: it reaps its children and leaves
    if (!server_.join_before(deadline)) {
      server_.ref().send(SIGKILL);
      server_.join();
    }
  }

private:
  os::ProcessRef launch(WorkerEnds ends, Program program) {
    os::Launch what{.program = program.path, .arguments = program.arguments, .inherited = ends.descriptors()};
    what.inherited.push_back(requests_.read_end.get());
    what.inherited.push_back(replies_.write_end.get());
    for (auto &argument : ends.to_arguments())
      what.arguments.push_back(argument);
    what.arguments.push_back(fmt::format("--requests={}", requests_.read_end.get()));
    what.arguments.push_back(fmt::format("--replies={}", replies_.write_end.get()));
    return os::launch(what);
  }

  os::Pipe requests_, replies_;
  ChildProcess server_;
  bool stopped_ = false;
};

} // namespace

std::unique_ptr<Starter> make_forkserver_starter(WorkerEnds ends, Program fork_server) {
  return std::make_unique<ForkServerStarter>(ends, std::move(fork_server));
}

} // namespace pidleak::pool

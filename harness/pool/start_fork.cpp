// Start method fork, and what all workers that are children of the owner have in common.
#include "harness/os/syscall_error.hpp"
#include "harness/pool/starter.hpp"

#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <exception>

namespace pidleak::pool {
namespace {

class ForkStarter final : public Starter {
public:
  ForkStarter(WorkerEnds ends, WorkerCode code, std::vector<int> owners_only)
      : ends_(ends), code_(std::move(code)), owners_only_(std::move(owners_only)) {}

  std::unique_ptr<WorkerProcess> start() override {
    // A worker that resets its signals must not run its parent's handlers before it has: hold them back meanwhile.
    sigset_t all, before;
    sigfillset(&all);
    if (ends_.reset_signals)
      ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = ::fork();
    if (pid == 0)
      work();
    int error = errno;
    if (ends_.reset_signals)
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0)
      throw os::SyscallError(error, "fork() of a worker");
    try {
      return std::make_unique<ChildProcess>(os::ProcessRef::open(pid).value()); // only this pool reaps it
    } catch (...) { // out of descriptors: no other code would end it. The bare pid is safe, it is an unreaped child's
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      throw;
    }
  }

private:
  [[noreturn]] void work() {
    // No destructor of the copied parent may run here (its threads do not exist in the child): leave by _exit.
    for (int fd : owners_only_)
      ::close(fd);
    try {
      run_worker(ends_, code_);
    } catch (const std::exception &e) {
      std::fprintf(stderr, "worker %d: %s\n", ::getpid(), e.what());
      ::_exit(1);
    }
    ::_exit(0);
  }

  WorkerEnds ends_;
  WorkerCode code_;
  std::vector<int> owners_only_;
};

} // namespace

template <class Reap>
bool ChildProcess::has_ended(const Reap &reap) {
  if (ended_)
    return true;
  try {
    status_ = reap();
    ended_ = status_.has_value();
  } catch (const os::SyscallError &e) {
    if (e.error() != ECHILD) // reaped elsewhere, or by the kernel
      throw;
    ended_ = true;
  }
  return ended_;
}

bool ChildProcess::alive() {
  return !has_ended([&] { return os::try_reap(ref_); });
}

void ChildProcess::join() {
  has_ended([&] { return std::optional(os::reap(ref_)); });
}

bool ChildProcess::join_before(Deadline deadline) {
  return has_ended([&] { return os::reap(ref_, deadline); });
}

std::unique_ptr<Starter> make_fork_starter(WorkerEnds ends, WorkerCode code, std::vector<int> owners_only) {
  return std::make_unique<ForkStarter>(ends, std::move(code), std::move(owners_only));
}

} // namespace pidleak::pool

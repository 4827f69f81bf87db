#include "harness/library/fork_log.hpp"

#include "harness/library/registry.hpp"
#include "harness/os/syscall_error.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace pidleak::library {
namespace {

struct Note {
  std::atomic<std::uint64_t> ticks;      // when the child ran: not before its start
  std::atomic<std::uint64_t> namespace_; // the PID namespace that the two numbers are of
  std::atomic<pid_t> parent;
  std::atomic<pid_t> child; // written last
};

struct Log {
  std::atomic<std::uint32_t> written;
  std::array<Note, 4096> notes;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free); // it is shared between processes

Log *shared = nullptr;
/// The inode of this process's PID namespace; 0 where /proc does not tell: then nothing is known of a number.
std::uint64_t pid_namespace() {
  struct stat info {};
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

thread_local pid_t forking = 0; // getppid(2) would be another's by the time that the child asks

void before_fork() { forking = ::getpid(); }

void write_note(pid_t parent, pid_t child) {
  auto &note = shared->notes[shared->written++ % shared->notes.size()];
  note.child = 0;
  note.ticks = now_ticks();
  note.namespace_ = pid_namespace();
  note.parent = parent;
  note.child = child;
}

// The first process of a namespace has a parent outside: so its parent is none there.
void in_child() { write_note(forking, ::getpid()); }

Log *start_log() {
  auto *memory = ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    os::throw_errno("mmap({} bytes, shared)", sizeof(Log));
  shared = static_cast<Log *>(memory); // zeros, which is what these atomics begin with
  if (int error = ::pthread_atfork(before_fork, nullptr, in_child); error != 0)
    throw os::SyscallError(error, "pthread_atfork()");
  return shared;
}

} // namespace

void keep_fork_log() { [[maybe_unused]] static const auto *once = start_log(); }

void note_child(pid_t child) {
  keep_fork_log();
  write_note(::getpid(), child);
}

std::optional<pid_t> noted_parent_of(const census::Member &process) {
  auto here = pid_namespace();
  for (const auto &note : shared->notes)
    // A process that had this pid when it was noted, and started before, is this one. An earlier one has gone.
    if (here != 0 && note.namespace_ == here && note.child == process.pid && note.ticks >= process.start_ticks)
      return note.parent;
  return {};
}

} // namespace pidleak::library

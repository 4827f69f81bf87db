// Owners that never end, and twins of theirs that do.
#include "workers/specimens/specimen.hpp"

#include <semaphore.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

namespace pidleak::specimens {
namespace {

/// Reads until the end of file, as a program that captures a command's output does.
void read_to_the_end(const os::UniqueFd &fd) {
  char buffer[256];
  while (::read(fd.get(), buffer, sizeof buffer) > 0) {
  }
}

void capture_output(const std::function<void()> &last_child) {
  auto pipe = os::open_pipe();
  start([&] { start(last_child); });
  pipe.write_end.reset();
  read_to_the_end(pipe.read_end);
  wait_for(-1);
}

void talk_past_one_another() {
  auto there = os::open_pipe(), back = os::open_pipe();
  start([&] {
    fill(back);
    write_byte(back.write_end.get());
  });
  fill(there);
  write_byte(there.write_end.get());
}

void join_through_a_thread(const std::function<void()> &worker) {
  pid_t pid = start(worker);
  std::thread manager([pid] { wait_for(pid); });
  manager.join();
}

void lose_the_lock_and_join() {
  auto *lock = static_cast<sem_t *>(share(sizeof(sem_t)));
  ::sem_init(lock, 1, 1);
  pid_t victim = start_and_wait([&](const auto &ready) {
    ::sem_wait(lock);
    ready();
    pause_for_ever();
  });
  pid_t other = start([&] { ::sem_wait(lock); });
  os::ProcessRef::open(victim)->send(SIGKILL);
  wait_for(victim);
  wait_for(other);
}

} // namespace

std::vector<Specimen> stuck_owners() {
  return {
      {"owner-waits-for-a-worker-that-pauses", "joins a worker that never ends", "hung",
       "waits-for-signal, owner waits-for-child", [] { wait_for(start(pause_for_ever)); }},
      {"owner-waits-through-a-thread", "joins the thread that joins a worker that never ends", "hung",
       "waits-for-signal, owner waits-for-child", [] { join_through_a_thread(pause_for_ever); }},
      {"owner-does-not-reap", "goes on without waiting for a worker that has ended", "hung",
       "not-reaped, owner waits-for-signal",
       [] {
         start([] {});
         pause_for_ever();
       }},
      {"owner-reaps-one-of-three", "waits for the first worker, and never for the others", "hung",
       "not-reaped, not-reaped, owner waits-for-signal",
       [] {
         pid_t first = start([] {});
         start([] {});
         start([] {});
         wait_for(first);
         pause_for_ever();
       }},
      {"owner-captures-output", "reads to the end of a pipe that a daemon has inherited", "hung",
       "not-reaped, waits-for-signal, owner pipe-held-open", [] { capture_output(pause_for_ever); }},
      {"owner-and-worker-talk-past-one-another", "each writes to the other's full pipe, and neither reads", "hung",
       "pipe-full, owner pipe-full", talk_past_one_another},
      {"owner-fills-the-queue", "writes a sentinel into a queue that is full, to workers that do not read", "hung",
       "waits-for-signal, owner pipe-full",
       [] {
         auto queue = os::open_pipe();
         start(pause_for_ever);
         fill(queue);
         write_byte(queue.write_end.get());
       }},
      {"owner-loses-the-lock", "joins a worker that waits for the lock of one that was killed", "hung",
       "waits-for-lock, owner waits-for-child", lose_the_lock_and_join},
  };
}

std::vector<Specimen> owners_that_end() {
  auto twin = [](const std::string &name, const std::string &what, const std::function<void()> &run) {
    return Specimen{.name = name, .what = what, .verdict = "clean", .causes = "", .run = run};
  };
  return {
      twin("owner-waits-for-a-slow-worker", "joins a worker that takes a while",
           [] { wait_for(start([] { sleep_ms(a_while_ms); })); }),
      twin("owner-waits-through-a-thread-for-a-slow-worker", "joins the thread that joins a worker that takes a while",
           [] { join_through_a_thread([] { sleep_ms(a_while_ms); }); }),
      twin("owner-reaps-late", "waits for a worker long after it has ended",
           [] {
             pid_t worker = start([] {});
             sleep_ms(a_while_ms);
             wait_for(worker);
           }),
      twin("owner-leaves-zombies", "exits without waiting: the process that adopts them waits",
           [] {
             for (int worker = 0; worker < 3; ++worker)
               start([] {});
           }),
      twin("owner-captures-the-output-of-a-slow-one", "reads to the end of a pipe that another holds for a while",
           [] { capture_output([] { sleep_ms(a_while_ms); }); }),
      twin("owner-starts-hundreds", "starts and joins three hundred workers, one after the other",
           [] {
             for (int worker = 0; worker < 300; ++worker)
               wait_for(start([] {}));
           }),
  };
}

} // namespace pidleak::specimens

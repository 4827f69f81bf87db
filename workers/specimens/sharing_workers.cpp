// Some workers that outlive their owner, stuck on what they share.
#include "workers/specimens/specimen.hpp"

#include <poll.h>
#include <semaphore.h>
#include <sys/syscall.h>

#include <csignal>

namespace pidleak::specimens {
namespace {

/// A lock as CPython's pools have it: a plain counter in shared memory, which knows no owner.
sem_t *make_lock() {
  auto *lock = static_cast<sem_t *>(share(sizeof(sem_t)));
  ::sem_init(lock, 1, 1);
  return lock;
}

void take(sem_t *lock) {
  while (::sem_wait(lock) != 0) {
  }
}

/// Readers of a queue as a ProcessPoolExecutor's workers are: the lock in hand, one at a time.
void read_in_turn(sem_t *lock, const os::Pipe &pipe) {
  take(lock);
  read_byte(pipe.read_end.get());
  ::sem_post(lock);
}

void kill_a_worker_with_the_lock() {
  auto *lock = make_lock();
  pid_t victim = start_and_wait([&](const auto &ready) {
    take(lock);
    ready();
    pause_for_ever();
  });
  for (int worker = 0; worker < 2; ++worker)
    start([&] { take(lock); });
  os::ProcessRef::open(victim)->send(SIGKILL);
  wait_for(victim);
}

void read_from_one_another() {
  auto there = os::open_pipe(), back = os::open_pipe();
  start([&] {
    there.write_end.reset();
    back.read_end.reset();
    read_byte(there.read_end.get());
  });
  start([&] {
    there.read_end.reset();
    back.write_end.reset();
    read_byte(back.read_end.get());
  });
}

} // namespace

std::vector<Specimen> sharing_workers() {
  return {
      {"siblings-hold-the-pipe", "workers read a pipe whose write end each of them has inherited", "leaked",
       "pipe-held-open, pipe-held-open, pipe-held-open",
       [] {
         auto pipe = os::open_pipe();
         for (int worker = 0; worker < 3; ++worker)
           start([&] { read_byte(pipe.read_end.get()); });
       }},
      {"readers-in-turn", "as CPython's: one worker reads the queue's pipe, the others wait for its lock", "leaked",
       "pipe-held-open, waits-for-lock, waits-for-lock",
       [] {
         auto pipe = os::open_pipe();
         auto *lock = make_lock();
         for (int worker = 0; worker < 3; ++worker)
           start([&] { read_in_turn(lock, pipe); });
       }},
      {"lock-of-the-dead", "a worker was killed while it held the lock, and the others wait for it", "leaked",
       "lock-of-the-dead, lock-of-the-dead", kill_a_worker_with_the_lock},
      {"holder-pauses", "a worker that will never release the lock pauses, and another waits for it", "leaked",
       "waits-for-lock, waits-for-signal",
       [] {
         auto *lock = make_lock();
         start_and_wait([&](const auto &ready) {
           take(lock);
           ready();
           pause_for_ever();
         });
         start([&] { take(lock); });
       }},
      {"read-from-one-another", "two workers wait for each other's word", "leaked", "pipe-held-open, pipe-held-open",
       read_from_one_another},
      {"full-result-queue", "workers have results, and no process reads them", "leaked", "pipe-full, pipe-full",
       [] {
         auto pipe = os::open_pipe();
         fill(pipe);
         for (int worker = 0; worker < 2; ++worker)
           start([&] { write_byte(pipe.write_end.get()); });
       }},
      {"watches-a-sibling", "polls the pidfd of a worker that never ends", "leaked",
       "waits-for-events, waits-for-signal",
       [] {
         pid_t watched = start(pause_for_ever);
         start([watched] {
           auto process = os::ProcessRef::open(watched);
           pollfd exit{.fd = process->pidfd(), .events = POLLIN, .revents = 0};
           ::poll(&exit, 1, -1);
         });
       }},
      {"one-of-four-stays", "three workers leave at the end of the queue, and one has another copy of its write end",
       "leaked", "pipe-held-open",
       [] {
         auto queue = os::open_pipe(), other = os::open_pipe();
         for (int worker = 0; worker < 4; ++worker)
           start([&] {
             auto &mine = worker == 3 ? other : queue;
             queue.write_end.reset();
             read_byte(mine.read_end.get());
           });
       }},
  };
}

} // namespace pidleak::specimens

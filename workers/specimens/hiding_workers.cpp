// Workers that get out of sight of those who look by session, name, descriptor, environment or parent.
#include "workers/specimens/specimen.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdlib>

namespace pidleak::specimens {
namespace {

Specimen hidden(const std::string &name, const std::string &what, const std::function<void()> &run) {
  return {.name = name, .what = what, .verdict = "leaked", .causes = "waits-for-signal", .run = run};
}

void pause_in_a_raw_clone(std::uint64_t flags, int exit_signal) {
  clone_args arguments{};
  arguments.flags = flags;
  arguments.exit_signal = static_cast<std::uint64_t>(exit_signal);
  if (::syscall(SYS_clone3, &arguments, sizeof arguments) == 0)
    pause_for_ever();
}

void *pause_in_a_thread(void *) { pause_for_ever(); }

void lose_the_leader() {
  start([] {
    pthread_t thread{};
    ::pthread_create(&thread, nullptr, pause_in_a_thread, nullptr);
    ::pthread_exit(nullptr); // of the leader: /proc shows a zombie from now on
  });
}

} // namespace

std::vector<Specimen> hiding_workers() {
  return {
      hidden("leads-a-session", "a worker in a session of its own",
             [] {
               start([] {
                 ::setsid();
                 pause_for_ever();
               });
             }),
      hidden("is-a-daemon", "a worker that has forked twice, with a session in between",
             [] { daemonize(pause_for_ever); }),
      hidden("has-closed-everything", "a daemon without a descriptor, another name and no environment",
             [] {
               daemonize([] {
                 ::close_range(0, ~0U, 0);
                 ::prctl(PR_SET_NAME, "kworker/0:1");
                 ::clearenv();
                 pause_for_ever();
               });
             }),
      hidden("is-a-grandchild", "the child of a worker that has ended",
             [] { wait_for(start([] { start(pause_for_ever); })); }),
      hidden("sends-no-signal", "a clone without an exit signal", [] { pause_in_a_raw_clone(0, 0); }),
      hidden("is-a-sibling", "a clone that is the child of its parent's parent",
             [] { wait_for(start([] { pause_in_a_raw_clone(CLONE_PARENT, 0); })); }),
      hidden("has-lost-its-leader", "a process whose first thread has ended", lose_the_leader),
      {"is-below-another-subreaper", "a daemon that a subreaper among the workers has adopted", "leaked",
       "waits-for-signal, waits-for-signal",
       [] {
         start_and_wait([](const auto &ready) {
           ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
           ready();
           daemonize(pause_for_ever);
           pause_for_ever();
         });
       }},
      hidden("forks-a-relay", "the last of two hundred, each of which has forked the next and ended",
             [] {
               // Until all but the last have ended: on a busy machine that takes seconds, and in the middle of it
               // several are there at once. forks-a-relay-that-ends is the one that moves while it is looked at.
               start_and_wait([](const auto &ready) {
                 std::function<void(int)> relay = [&](int left) {
                   if (left > 0) {
                     start([&] { relay(left - 1); });
                     return;
                   }
                   ready();
                   pause_for_ever();
                 };
                 relay(200);
               });
             }),
  };
}

} // namespace pidleak::specimens

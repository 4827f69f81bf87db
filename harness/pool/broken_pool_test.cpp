// What a pool does to its workers once one has died, or once its owner has.
#include "harness/pool/pool_test_support.hpp"

#include <sys/prctl.h>

namespace {

using namespace pidleak;
using pool::behaviour_of;
using pool::Preset;
using pool::ProcessPool;
using Method = StartMethod;
using pool::WorkerPoint;
using testing::expect;
using testing::expect_equal;
using testing::Gates;
using testing::wait_until;

void kill_worker(pid_t worker) { expect(os::ProcessRef::open(worker).value().send(SIGKILL), "a worker is killed"); }

void stop(pid_t pid) {
  auto held = os::ProcessRef::open(pid).value();
  expect(held.send(SIGSTOP), "a process is stopped");
  testing::wait_until_state(held, 'T');
}

std::string what_submit_throws(ProcessPool &pool) {
  try {
    pool.submit("late");
  } catch (const pool::BrokenPool &) {
    return "BrokenPool";
  } catch (const std::exception &e) {
    return e.what();
  }
  return "nothing";
}

/// shutdown(true) in a thread of its own: ready when it has returned.
std::future<void> shut_down(ProcessPool &pool) {
  std::promise<void> returned;
  auto future = returned.get_future();
  std::thread([&pool, returned = std::move(returned)]() mutable {
    pool.shutdown(true);
    returned.set_value();
  }).detach();
  return future;
}

bool returns(const std::future<void> &shutdown, milliseconds within = std::chrono::seconds(10)) {
  return shutdown.wait_for(within) == std::future_status::ready;
}

/// Waits until no worker will ever do anything again of itself. How many are left.
int wait_until_workers_rest(const ProcessPool &pool) {
  int left = 0;
  auto rests = [&](pid_t worker) {
    auto stat = os::read_stat(worker);
    bool gone = !stat || stat->state == 'Z';
    left += !gone;
    return gone || testing::is_idle(worker);
  };
  auto pids = pool.worker_pids();
  wait_until([&] { return left = 0, pool.queue_depth() == 0 && std::ranges::all_of(pids, rests); }, "workers rest");
  return left;
}

} // namespace

TEST_CASE("a worker's death breaks the pool: futures and submit throw, and no worker is left", "[pool]") {
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(3);
  testing::check_in_child([&] {
    testing::Witness witness;
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates, &witness));
    auto futures = testing::submit(pool, gates, 3);
    kill_worker(gates.wait_for_starts(3)[1]);
    testing::expect_outcomes(futures, "BrokenPool");
    expect_equal(what_submit_throws(pool), "BrokenPool", "submit");
    pool.shutdown(true);
    pool.shutdown(true);
    expect_equal(what_submit_throws(pool), "BrokenPool", "submit after shutdown");
    expect_equal(witness.count("ended by "), 1, "ends of the management thread");
    expect(witness.count("sent SIGTERM") >= 2, "the others were told to leave");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("with a SIGTERM handler and a full call queue each preset does what its model does", "[pool]") {
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(9);
  testing::check_in_child([&] {
    os::catch_sigterm(); // fork inherits it; programs register it when they "import the main module"
    auto &witness = *new testing::Witness;
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates, &witness, true));
    auto futures = testing::submit(pool, gates, 3);
    auto running = gates.wait_for_starts(3);
    auto waiting = testing::submit(pool, gates, 6, 3); // the pool fills its queue when there is news, and only then
    wait_until([&] { return pool.queue_depth() == pool.queue_capacity(); }, "the queue is full");
    kill_worker(running[0]);
    wait_until([&] { return witness.count("handled") == 1; }, "the breakage was handled");
    auto shutdown = shut_down(pool);
    testing::expect_outcomes(futures, "BrokenPool");
    testing::expect_outcomes(waiting, "BrokenPool");
    switch (preset) {
    case Preset::cpython36: // leaked
      expect(returns(shutdown), "shutdown returns while tasks run");
      expect_equal(witness.count("ended by queue.Full"), 1, "ends by queue.Full");
      gates.finish_all();
      expect_equal(wait_until_workers_rest(pool), 2, "workers left");
      break;
    case Preset::cpython37: // clean once tasks end
      expect(!returns(shutdown, milliseconds(20)), "shutdown waits for the tasks");
      gates.finish_all();
      expect(returns(shutdown), "then it returns");
      testing::expect_helpers_only(pool);
      break;
    case Preset::cpython312: // hangs
      gates.finish_all();
      expect_equal(wait_until_workers_rest(pool), 2, "workers left");
      expect(!returns(shutdown, milliseconds(20)), "shutdown hangs");
      expect_equal(witness.count("ended by "), 0, "ends of the management thread");
      break;
    case Preset::hardened: // clean, although no task ends
      expect(returns(shutdown), "shutdown returns");
      expect_equal(witness.count("sent SIGKILL"), 0, "SIGKILLs");
      testing::expect_helpers_only(pool);
      break;
    }
  });
}

TEST_CASE("hardened ends workers that ignore SIGTERM or are stopped, within its bound", "[pool]") {
  auto method = EVERY(Method);
  bool stopped = method != Method::fork || GENERATE(true, false); // only copied code can ignore it in a task
  bool broken = GENERATE(true, false);
  CAPTURE(spell(method), stopped, broken);
  Gates gates(9);
  testing::check_in_child([&] {
    auto behaviour = behaviour_of(Preset::hardened);
    behaviour.terminate_grace = milliseconds(50);
    behaviour.shutdown_grace = milliseconds(100);
    testing::Witness witness;
    auto options = options_for(method, behaviour, gates, &witness);
    if (!stopped)
      options.code.run_task = [](const std::string &task) {
        os::ignore_sigterm();
        return workers::run_task(task);
      };
    auto &pool = testing::open_pool(options);
    auto futures = testing::submit(pool, gates, 9);
    auto running = gates.wait_for_starts(3);
    if (stopped)
      for (const auto &[task, worker] : running)
        stop(worker);
    if (broken)
      kill_worker(running[0]);
    auto called = Clock::now();
    pool.shutdown(true);
    auto took = milliseconds_between(called, Clock::now());
    expect(took < 5000, fmt::format("shutdown returns within its bound ({} ms)", took));
    expect_equal(witness.count("sent SIGKILL"), broken ? 2 : 3, "SIGKILLs");
    testing::expect_helpers_only(pool);
    testing::expect_outcomes(futures, "BrokenPool"); // unfinished work is lost, and says so
  });
}

TEST_CASE("hardened stops on time, although its workers take no sentinel from a short queue", "[pool]") {
  auto method = EVERY(Method);
  CAPTURE(spell(method));
  Gates gates(3);
  testing::check_in_child([&] {
    auto behaviour = behaviour_of(Preset::hardened);
    behaviour.terminate_grace = milliseconds(50);
    behaviour.shutdown_grace = milliseconds(100);
    auto options = options_for(method, behaviour, gates);
    options.queue_slots = 1;
    auto &pool = testing::open_pool(options);
    auto futures = testing::submit(pool, gates, 3);
    gates.finish_all();
    testing::expect_outcomes(futures, "done");
    for (pid_t worker : pool.worker_pids())
      stop(worker);
    expect(returns(shut_down(pool)), "shutdown returns");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("hardened ends although a call that no worker will read fills the pipe", "[pool]") {
  auto method = EVERY(Method);
  bool broken = GENERATE(true, false);
  CAPTURE(spell(method), broken);
  Gates gates(3);
  testing::check_in_child([&] {
    auto behaviour = behaviour_of(Preset::hardened);
    behaviour.shutdown_grace = milliseconds(100);
    auto &pool = testing::open_pool(options_for(method, behaviour, gates));
    auto futures = testing::submit(pool, gates, 3);
    auto running = gates.wait_for_starts(3);
    futures.push_back(pool.submit(std::string(1 << 20, '!')));
    wait_until([&] { return pool.queue_depth() == 1; }, "the call is on its way");
    if (broken)
      kill_worker(running[0]);
    expect(returns(shut_down(pool)), "shutdown returns");
    testing::expect_outcomes(futures, "BrokenPool");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("hardened leaves no worker behind, whatever becomes of its fork server", "[pool]") {
  bool killed = GENERATE(true, false); // else stopped: the pool has to kill it before it has reaped its children
  bool broken = GENERATE(true, false);
  bool subreaper = GENERATE(true, false);
  CAPTURE(killed, broken, subreaper);
  Gates gates(3);
  testing::check_in_child([&] {
    if (!subreaper)
      os::cease_to_be_subreaper();
    auto bystander = testing::start([] { ::_exit(7); });
    testing::wait_until_state(bystander, 'Z');
    auto behaviour = behaviour_of(Preset::hardened);
    behaviour.terminate_grace = milliseconds(50);
    if (!killed)
      behaviour.shutdown_grace = milliseconds(500); // that much is the server's to leave in
    auto &pool = testing::open_pool(options_for(Method::forkserver, behaviour, gates));
    auto futures = testing::submit(pool, gates, 3);
    auto running = gates.wait_for_starts(3);
    pid_t server = pool.helpers().at(0).pid;
    auto victim = os::ProcessRef::open(running[0]).value(); // the pool may end it as soon as its server is dead
    if (killed)
      kill_worker(server);
    else
      stop(server);
    if (broken)
      expect(victim.send(SIGKILL) || killed, "a worker is killed");
    else if (!killed) // its workers leave with a server that has died
      gates.finish_all();
    testing::expect_outcomes(futures, broken || killed ? "BrokenPool" : "done");
    pool.shutdown(true);
    expect(os::read_children(::getpid()) == std::vector{bystander.pid()}, "the one child is not the pool's");
    expect_equal(os::reap(bystander).text(), "exited with 7", "how it ended");
    for (const auto &[task, worker] : running) { // the zombies of a pool that adopts none are another process's
      auto left = os::ProcessRef::open(worker);
      expect(!left || left->has_exited(), fmt::format("worker {} has ended", worker));
    }
  });
}

TEST_CASE("hardened leaves nothing in a program that ignores its children's ends", "[pool]") {
  auto method = EVERY(Method);
  bool broken = GENERATE(true, false);
  CAPTURE(spell(method), broken);
  Gates gates(3);
  testing::check_in_child([&] {
    ::signal(SIGCHLD, SIG_IGN); // the kernel reaps: waitid(2) says ECHILD
    testing::Witness witness;
    auto &pool = testing::open_pool(options_for(method, behaviour_of(Preset::hardened), gates, &witness));
    auto futures = testing::submit(pool, gates, 3);
    auto running = gates.wait_for_starts(3);
    if (broken)
      kill_worker(running[0]);
    else
      gates.finish_all();
    testing::expect_outcomes(futures, broken ? "BrokenPool" : "done");
    pool.shutdown(true);
    expect_equal(witness.count("ended by "), 1, "ends of the management thread");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("an exception ends the management thread: it is told, and hardened leaves nothing", "[pool]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("UBSan needs descriptors of its own, and calls an object invalid where it gets none");
#endif
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(3);
  testing::check_in_child([&] {
    auto &witness = *new testing::Witness;
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates, &witness));
    auto futures = testing::submit(pool, gates, 3);
    gates.wait_for_starts(3);
    {
      testing::FewDescriptors few(4); // poll(2) takes no more entries than that, and the thread waits for five things
      expect(returns(shut_down(pool)), "shutdown returns");
    }
    expect_equal(witness.count("ended by poll(results, wake-ups, 3 sentinels): EINVAL (Invalid argument)"), 1,
                 "ends by the exception");
    if (preset == Preset::hardened) {
      testing::expect_outcomes(futures, "BrokenPool");
      testing::expect_helpers_only(pool);
      expect_equal(what_submit_throws(pool), "BrokenPool", "submit");
      return;
    }
    for (auto &future : futures)
      expect(future.wait_for(milliseconds(0)) == std::future_status::timeout, "as in Python, a future is not told");
    gates.finish_all();
    expect_equal(wait_until_workers_rest(pool), 3, "workers left");
  });
}

TEST_CASE("without a free descriptor a pool that breaks ends as it does with one", "[pool]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("UBSan needs descriptors of its own, and calls an object invalid where it gets none");
#endif
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(3);
  testing::check_in_child([&] {
    testing::Witness witness;
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates, &witness));
    auto futures = testing::submit(pool, gates, 3);
    auto victim = os::ProcessRef::open(gates.wait_for_starts(3)[0]).value();
    {
      testing::FewDescriptors few(5); // more than that are open
      victim.send(SIGKILL);
      expect(returns(shut_down(pool)), "shutdown returns");
    }
    testing::expect_outcomes(futures, "BrokenPool");
    expect_equal(witness.count("ended by "), 1, "ends of the management thread without an exception");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("a flood of results does not hold up hardened's shutdown", "[pool]") {
  Gates gates(0);
  testing::check_in_child([&] {
    auto behaviour = behaviour_of(Preset::hardened);
    behaviour.shutdown_grace = milliseconds(20);
    auto options = options_for(Method::spawn, behaviour, gates);
    // Results without a pause, and faster than they are taken: zeros are results of the first task, each of 16 bytes.
    options.worker_program = {"/bin/sh", {"-c", "IFS='=,'; set -- $0; exec cat /dev/zero >/proc/self/fd/$5"}};
    auto &pool = testing::open_pool(options);
    auto futures = testing::submit(pool, gates, 2);
    expect_equal(testing::outcome(futures[0]), "", "the first future's outcome"); // the flood has begun
    pool.shutdown(true);
    expect_equal(testing::outcome(futures[1]), "BrokenPool", "the other's");
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("a worker that dies with a queue's lock or half a result: hardened leaves nothing", "[pool]") {
  auto method = EVERY(Method);
  auto point = EVERY(WorkerPoint);
  CAPTURE(spell(method), spell(point));
  Gates gates(9);
  testing::check_in_child([&] {
    auto &pool = testing::open_pool(options_for(method, behaviour_of(Preset::hardened), gates));
    auto futures = testing::submit(pool, gates, 9);
    auto victim = gates.wait_for_starts(3)[0];
    gates.choose(point, victim);
    gates.finish(0);
    expect_equal(gates.next_event().text("point"), spell(point), "where the worker is");
    kill_worker(victim);
    expect_equal(testing::outcome(futures[1]), "BrokenPool", "the outcome of a task that still runs");
    pool.shutdown(true);
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("a pool that waits for whole results never learns that a writer died half way", "[pool]") {
  auto preset = EVERY(Preset);
  CAPTURE(spell(preset));
  Gates gates(3);
  testing::check_in_child([&] {
    auto &witness = *new testing::Witness;
    auto &pool = testing::open_pool(options_for(Method::fork, behaviour_of(preset), gates, &witness));
    auto futures = testing::submit(pool, gates, 3);
    auto victim = gates.wait_for_starts(3)[0];
    gates.choose(WorkerPoint::half_result, victim);
    gates.finish(0);
    gates.next_event();
    kill_worker(victim);
    gates.finish_all();
    auto shutdown = shut_down(pool);
    if (preset == Preset::hardened) {
      expect(returns(shutdown), "hardened returns");
      return;
    }
    expect_equal(wait_until_workers_rest(pool), 2, "workers left"); // they wait for the result queue's lock
    expect(!returns(shutdown, milliseconds(20)), "shutdown hangs");
    expect_equal(witness.count("sent SIGTERM") + witness.count("handled"), 0, "steps of a broken pool");
  });
}

TEST_CASE("when the owner is killed, hardened's workers leave, and those of CPython's pools stay", "[pool]") {
  auto method = EVERY(Method);
  auto preset = GENERATE(Preset::cpython37, Preset::hardened);
  CAPTURE(spell(method), spell(preset));
  Gates gates(3);
  testing::check_in_child([&] {
    auto owner = testing::plant([&] {
      auto options = options_for(method, behaviour_of(preset), gates);
      options.code.run_task = [](const std::string &task) {
        ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); // a task may: then the ends of its pipes tell its worker
        return workers::run_task(task) + std::string(1 << 20, '!'); // more than the pipe holds: it blocks its writer
      };
      auto &pool = testing::open_pool(options);
      static auto futures = testing::submit(pool, gates, 3);
    });
    auto workers = gates.wait_for_starts(3);
    owner.send(SIGKILL);
    os::reap(owner);
    gates.finish_all();
    if (preset == Preset::hardened) {
      wait_until([] { return os::reap_exited_children(); }, "all leave");
      return;
    }
    for (const auto &[task, worker] : workers)
      wait_until([&, pid = worker] { return testing::is_idle(pid); }, "it stays");
  });
}

TEST_CASE("hardened's workers outlive the thread that made their pool", "[pool]") {
  auto method = EVERY(Method); // PR_SET_PDEATHSIG comes with the end of a thread
  CAPTURE(spell(method));
  Gates gates(3);
  testing::check_in_child([&] {
    pool::ProcessPool *pool = nullptr;
    std::thread([&] { pool = &testing::open_pool(options_for(method, behaviour_of(Preset::hardened), gates)); }).join();
    auto futures = testing::submit(*pool, gates, 3);
    gates.finish_all();
    testing::expect_outcomes(futures, "done");
    pool->shutdown(true);
    testing::expect_helpers_only(*pool);
  });
}

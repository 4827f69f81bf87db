// The life of a pool whose workers live: tasks, shutdown, and the attempts to make one that fail.
#include "harness/pool/pool_test_support.hpp"

namespace {

using namespace pidleak;
using pool::behaviour_of;
using pool::Preset;
using pool::ProcessPool;
using Method = StartMethod;
using testing::expect;
using testing::expect_equal;
using testing::Gates;

/// The roles of a pool's helpers, in order.
std::string roles(const ProcessPool &pool) {
  std::string all;
  for (const auto &helper : pool.helpers())
    all += (all.empty() ? "" : ", ") + helper.role;
  return all;
}

std::string expected_roles(Method method, Preset preset) {
  if (method == Method::fork)
    return "";
  std::string tracker = preset == Preset::hardened ? "" : "tracker";
  if (method == Method::spawn)
    return tracker;
  return "fork server" + (tracker.empty() ? "" : ", " + tracker);
}

template <class Exception>
std::string what_submit_throws(ProcessPool &pool) {
  try {
    pool.submit("late");
  } catch (const Exception &e) {
    return e.what();
  }
  return "nothing";
}

/// Why a pool could not be made; empty if it could.
std::string failure_of(const pool::PoolOptions &options) {
  try {
    ProcessPool pool(options);
    return "";
  } catch (const std::exception &e) {
    return e.what();
  }
}

} // namespace

TEST_CASE("a pool does its tasks, and shutdown leaves its declared helpers at most", "[pool]") {
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(8);
  testing::check_in_child([&] {
    auto owned = std::make_unique<ProcessPool>(options_for(method, behaviour_of(preset), gates));
    auto &pool = *owned;
    expect_equal(pool.worker_pids().size(), 3U, "workers");
    expect_equal(pool.queue_capacity(), 4, "slots of the call queue");
    expect_equal(roles(pool), expected_roles(method, preset), "helpers");
    auto futures = testing::submit(pool, gates, 8);
    expect_equal(gates.wait_for_starts(3).size(), 3U, "tasks that run at once");
    gates.finish_all();
    testing::expect_outcomes(futures, "done");
    pool.shutdown(true);
    testing::expect_helpers_only(pool);
    expect_equal(roles(pool), preset == Preset::hardened ? "" : expected_roles(method, preset), "helpers afterwards");
    expect_equal(what_submit_throws<std::logic_error>(pool), "cannot submit a task after shutdown", "submit");
    owned.reset(); // its helpers leave with it, and no process waits for them: zombies
    testing::wait_until([] { return os::reap_exited_children(); }, "the helpers leave");
  });
}

TEST_CASE("a pool that was never given a task shuts down", "[pool]") {
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(0);
  testing::check_in_child([&] {
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates));
    pool.shutdown(true);
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("many tasks go through few workers", "[pool]") {
  auto method = EVERY(Method);
  auto preset = GENERATE(Preset::cpython37, Preset::hardened);
  CAPTURE(spell(method), spell(preset));
  Gates gates(200);
  testing::check_in_child([&] {
    auto options = options_for(method, behaviour_of(preset), gates);
    options.workers = 2;
    auto &pool = testing::open_pool(options);
    gates.finish_all();
    testing::Futures futures;
    for (int i = 0; i < 200; ++i)
      futures.push_back(pool.submit(workers::describe_task(i, gates.directory())));
    testing::expect_outcomes(futures, "done");
    expect_equal(pool.queue_depth(), 0, "depth");
    pool.shutdown(true);
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("results belong to their tasks", "[pool]") {
  auto preset = EVERY(Preset);
  Gates gates(0);
  testing::check_in_child([&] {
    auto options = options_for(Method::fork, behaviour_of(preset), gates);
    options.code.run_task = [](const std::string &task) { return std::string(std::stoul(task), 'x') + task; };
    auto &pool = testing::open_pool(options);
    std::map<std::string, std::future<std::string>> futures;
    for (int i = 0; i < 40; ++i)
      futures[fmt::to_string(i * 5000)] = pool.submit(fmt::to_string(i * 5000)); // most exceed what a pipe holds
    for (auto &[task, future] : futures)
      expect(testing::outcome(future) == std::string(std::stoul(task), 'x') + task, "the result is the task's own");
    pool.shutdown(true);
    testing::expect_helpers_only(pool);
  });
}

TEST_CASE("shutdown without waiting lets the tasks finish, and may be called again", "[pool]") {
  auto method = EVERY(Method);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(8);
  testing::check_in_child([&] {
    testing::Witness witness;
    auto owned = std::make_unique<ProcessPool>(options_for(method, behaviour_of(preset), gates, &witness));
    auto futures = testing::submit(*owned, gates, 8);
    gates.wait_for_starts(3);
    owned->shutdown(false);
    owned->shutdown(false);
    expect_equal(what_submit_throws<std::logic_error>(*owned), "cannot submit a task after shutdown", "submit");
    expect_equal(witness.count("ended by "), 0, "ends of the management thread");
    gates.finish_all();
    testing::expect_outcomes(futures, "done");
    owned->shutdown(true);
    owned->shutdown(true);
    owned->shutdown(false);
    testing::expect_helpers_only(*owned);
    owned.reset();
    expect_equal(witness.count("ended by "), 1, "ends of the management thread");
  });
}

TEST_CASE("destroying a pool is a shutdown that waits", "[pool]") {
  auto method = EVERY(Method);
  Gates gates(5);
  testing::check_in_child([&] {
    auto fds = testing::count_open_fds();
    testing::Futures futures;
    {
      ProcessPool pool(options_for(method, behaviour_of(Preset::hardened), gates));
      futures = testing::submit(pool, gates, 5);
      gates.finish_all();
    }
    testing::expect_outcomes(futures, "done");
    expect(os::read_children(::getpid()).empty(), "no child is left");
    expect_equal(testing::count_open_fds(), fds, "open descriptors");
  });
}

TEST_CASE("impossible options are refused before anything is started", "[pool]") {
  Gates gates(0);
  auto options = options_for(EVERY(Method), behaviour_of(Preset::cpython37), gates);
  options.workers = GENERATE(0, -1);
  CHECK_THROWS_AS(ProcessPool(options), std::invalid_argument);
  CHECK_THROWS_AS(ProcessPool({.start_method = Method::fork}), std::invalid_argument);
  CHECK(os::read_children(::getpid()).empty());
}

TEST_CASE("a program that can't be executed is named, and nothing is left of the pool", "[pool]") {
  auto method = GENERATE(Method::spawn, Method::forkserver);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(0);
  testing::check_in_child([&] {
    auto fds = testing::count_open_fds();
    auto options = options_for(method, behaviour_of(preset), gates);
    options.worker_program.path = options.fork_server.path = "/nonexistent/program";
    auto failure = failure_of(options);
    expect(failure.find("/nonexistent/program") != failure.npos, failure);
    testing::wait_until([] { return os::reap_exited_children(); }, "the tracker leaves");
    expect_equal(testing::count_open_fds(), fds, "open descriptors");
  });
}

TEST_CASE("a fork server that ends at once is an error, and nothing is left", "[pool]") {
  Gates gates(0);
  testing::check_in_child([&] {
    os::ignore_sigpipe();
    auto options = options_for(Method::forkserver, behaviour_of(Preset::hardened), gates);
    options.fork_server = {"/bin/false"};
    auto failure = failure_of(options);
    expect(failure.starts_with("the fork server (pid ") && failure.ends_with(") is gone"), failure);
    expect(os::read_children(::getpid()).empty(), "no child is left");
  });
}

TEST_CASE("wherever descriptors run out while a pool is made, none of it is left", "[pool]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("UBSan needs descriptors of its own, and calls an object invalid where it gets none");
#endif
  auto method = EVERY(Method);
  auto preset = GENERATE(Preset::cpython36, Preset::hardened);
  CAPTURE(spell(method), spell(preset));
  Gates gates(0);
  testing::check_in_child([&] {
    os::ignore_sigpipe();
    auto options = options_for(method, behaviour_of(preset), gates);
    options.workers = 10; // holding them must take more than starting one does
    auto fds = testing::count_open_fds();
    auto first_free = static_cast<rlim_t>(os::UniqueFd::adopt(::dup(0)).get());
    bool made = false;
    for (rlim_t more = 0; !made; ++more) {
      expect(more < 40, "so many descriptors are enough");
      {
        testing::FewDescriptors few(first_free + more);
        made = failure_of(options).empty();
      }
      if (preset == Preset::hardened) // the others leave their tracker, and wait for it as little as CPython does
        expect(os::read_children(::getpid()).empty(), fmt::format("no child is left of {} more", more));
      testing::wait_until([] { return os::reap_exited_children(); }, fmt::format("no child is left of {} more", more));
      expect_equal(testing::count_open_fds(), fds, "open descriptors");
    }
  });
}

TEST_CASE("a fork server ends a worker that its owner can't hold, and has waited for it when it says so", "[pool]") {
  testing::check_in_child([] {
    auto locks = pool::SharedLocksMapping::create(1);
    auto calls = os::open_pipe(), results = os::open_pipe(), requests = os::open_pipe(), replies = os::open_pipe();
    auto server = testing::start([&] {
      requests.write_end.reset();
      pool::WorkerEnds ends{
          .locks = locks.fd(), .calls_read = calls.read_end.get(), .results_write = results.write_end.get()};
      auto arguments = ends.to_arguments();
      arguments.push_back(fmt::format("--requests={}", requests.read_end.release()));
      arguments.push_back(fmt::format("--replies={}", replies.write_end.release()));
      pool::run_fork_server(arguments, {});
    });
    pid_t worker = 0;
    os::write_all(requests.write_end.get(), "+");
    os::read_exactly(replies.read_end.get(), &worker, sizeof worker);
    auto held = os::ProcessRef::open(worker).value();
    os::write_all(requests.write_end.get(), "-");
    char answer = 0;
    os::read_exactly(replies.read_end.get(), &answer, 1);
    expect_equal(answer, '-', "the answer");
    expect(!os::ProcessRef::open(worker) && held.has_exited(), "the worker has been waited for");
    requests.write_end.reset();
    os::reap(server);
  });
}

TEST_CASE("programs that a pool starts inherit its queues, and nothing else", "[pool]") {
  auto method = GENERATE(Method::spawn, Method::forkserver);
  auto preset = EVERY(Preset);
  CAPTURE(spell(method), spell(preset));
  Gates gates(0);
  testing::check_in_child([&] {
    auto &pool = testing::open_pool(options_for(method, behaviour_of(preset), gates));
    // Stdio, locks, the call queue's read end, the result queue's write end; then what CPython leaves open: the
    // call queue's write end, and the tracker's pipe.
    std::size_t wanted = preset == Preset::hardened ? 6 : 8;
    for (pid_t worker : pool.worker_pids()) {
      testing::wait_until([&] { return testing::is_idle(worker); }, "the worker waits");
      expect_equal(os::read_fds(worker).value().size(), wanted, "open descriptors of a worker");
    }
    pool.shutdown(true);
  });
}

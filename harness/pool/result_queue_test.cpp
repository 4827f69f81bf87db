// The result queue, with many writers and with one that is killed half way.
#include "harness/pool/pool_test_support.hpp"
#include "harness/pool/result_queue.hpp"

#include <catch2/generators/catch_generators_all.hpp>
#include <poll.h>
#include <sys/syscall.h>

#include <set>

namespace {

using namespace pidleak;
using pool::Result;
using testing::expect;
using testing::expect_equal;
using testing::send_byte;
using testing::wait_for_byte;
using testing::well;

/// The result queue's parts, as a pool puts them together.
struct ResultQueue {
  pool::SharedLocksMapping locks = pool::SharedLocksMapping::create(1);
  os::Pipe pipe = os::open_pipe();

  void put(
      const Result &result, const std::function<void()> &half_way = [] {}) {
    pool::put_result(*locks, pipe.write_end.get(), result, half_way);
  }
  pool::ResultReader reader(bool whole) {
    if (!whole)
      os::set_nonblocking(pipe.read_end.get());
    return {pipe.read_end.get(), whole};
  }
  /// next() as the management thread calls it: when there is something to read.
  Result wait_for_next(pool::ResultReader &from) {
    for (;;) {
      pollfd ready{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
      expect(::poll(&ready, 1, 10000) == 1, "a result is on its way");
      if (auto result = from.next())
        return *result;
    }
  }
};

} // namespace

TEST_CASE("results of many writers arrive whole, however they are read", "[pool]") {
  bool whole = GENERATE(true, false);
  testing::check_in_child([&] {
    constexpr std::uint64_t writers = 4, results = 25;
    const std::vector<std::size_t> sizes = {0, 1, 5, 5000, 70'000, 1 << 20};
    auto value = [&](std::uint64_t id) { return std::string(sizes[id % sizes.size()], static_cast<char>(id)); };
    ResultQueue queue;
    for (std::uint64_t writer = 0; writer < writers; ++writer)
      testing::start([&] {
        for (std::uint64_t i = 0; i < results; ++i)
          queue.put({.id = writer * results + i, .value = value(writer * results + i)});
      });
    auto reader = queue.reader(whole);
    std::set<std::uint64_t> ids;
    while (ids.size() < writers * results) {
      auto result = queue.wait_for_next(reader);
      expect(result.value == value(result.id), "the value is its writer's own");
      expect(result.id < writers * results && ids.insert(result.id).second, "no result comes twice");
    }
    expect(queue.locks->result_lock.value() == 1, "the lock is free");
  });
}

TEST_CASE("half a result is waited for, for ever or not at all, and keeps other writers out", "[pool]") {
  bool whole = GENERATE(true, false), killed = GENERATE(true, false); // the twin writes the other half
  CAPTURE(whole, killed);
  testing::check_in_child([&] {
    ResultQueue queue;
    auto half = os::open_pipe(), go = os::open_pipe();
    auto writer = testing::start([&] {
      queue.put({.id = 7, .value = "twenty bytes of value"}, [&] {
        send_byte(half);
        wait_for_byte(go);
      });
    });
    wait_for_byte(half);
    auto other = testing::start([&] { queue.put({.id = 8, .value = "other"}); });
    auto reading = testing::start([&] { // the management thread
      auto reader = queue.reader(whole);
      if (!whole)
        expect(!reader.next() && !reader.next(), "it is told that there is no result yet");
      send_byte(half);
      expect(queue.wait_for_next(reader).value == "twenty bytes of value", "the first result");
      expect(queue.wait_for_next(reader).value == "other", "the second result");
    });
    wait_for_byte(half);
    testing::wait_until_in(reading, whole ? SYS_read : SYS_poll); // free to see its writer's end, or not
    testing::wait_until_in(other, SYS_futex);
    if (killed) {
      writer.send(SIGKILL);
      os::reap(writer);
      expect_equal(queue.locks->result_lock.value(), 0, "the lock");
      testing::wait_until_in(reading, whole ? SYS_read : SYS_poll);
      testing::wait_until_in(other, SYS_futex);
    } else {
      send_byte(go);
      expect(os::reap(reading) == well && os::reap(writer) == well && os::reap(other) == well, "both results came");
    }
  });
}

TEST_CASE("a result queue that no writer holds any more has no further result", "[pool]") {
  bool whole = GENERATE(true, false);
  testing::check_in_child([&] {
    ResultQueue queue;
    auto writer = testing::start([&] { queue.put({.id = 1, .value = "value"}, [] { ::_exit(0); }); });
    os::reap(writer);
    queue.pipe.write_end.reset();
    auto reader = queue.reader(whole);
    expect(!reader.next() && !reader.next(), "half a result is none");
  });
}

// The call queue, with many readers and with one that is killed on the way.
#include "harness/pool/call_queue.hpp"
#include "harness/pool/pool_test_support.hpp"

#include <catch2/generators/catch_generators_all.hpp>
#include <poll.h>
#include <sys/syscall.h>

#include <set>

namespace {

using namespace pidleak;
using pool::Call;
using pool::CallQueue;
using pool::CallReader;
using testing::expect;
using testing::expect_equal;
using testing::send_byte;
using testing::wait_for_byte;
using testing::well;

/// The locks as a worker sees them: a mapping of its own.
pool::SharedLocksMapping map_locks(int memfd) {
  return pool::SharedLocksMapping::map(os::UniqueFd::adopt(::dup(memfd)));
}

/// A worker's end of the call queue, in this process.
struct Reader {
  pool::SharedLocksMapping locks;
  CallReader calls;
  explicit Reader(const CallQueue &queue) : locks(map_locks(queue.locks_fd())), calls(*locks, queue.read_fd()) {}
  std::optional<Call> get(const std::function<void()> &while_locked = [] {}) { return calls.get(while_locked); }
};

} // namespace

TEST_CASE("a call queue takes its capacity and no more until a call has been read", "[pool]") {
  int capacity = GENERATE(1, 2, 5);
  testing::check_in_child([&] {
    CallQueue queue(capacity);
    Reader reader(queue);
    for (int i = 0; i < capacity; ++i) {
      expect(!queue.full(), "there is room");
      expect_equal(queue.depth(), i, "depth");
      expect(queue.try_put(Call{.task = "x"}), "it is taken");
    }
    expect(queue.full() && !queue.try_put(Call{}) && !queue.try_put({}), "a full queue refuses calls and sentinels");
    expect_equal(queue.depth(), capacity, "depth");
    reader.get();
    expect_equal(queue.depth(), capacity - 1, "depth after a read");
    expect(queue.try_put({}) && queue.full(), "the slot is free again");
  });
}

TEST_CASE("calls arrive whole and in order, whatever their size", "[pool]") {
  testing::check_in_child([] {
    const std::vector<std::string> tasks = {"", "a", std::string("\0\n\xff", 3), std::string(1 << 20, 'x'), "last"};
    CallQueue queue(10);
    Reader reader(queue);
    for (std::size_t i = 0; i < tasks.size(); ++i)
      queue.try_put(Call{.id = ~std::uint64_t{0} - i, .task = tasks[i]});
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      auto call = reader.get();
      expect(call && call->id == ~std::uint64_t{0} - i && call->task == tasks[i], "the call is the next that was put");
    }
  });
}

TEST_CASE("every call goes to one reader, and every sentinel ends one", "[pool]") {
  testing::check_in_child([] {
    constexpr int readers = 4;
    constexpr std::uint64_t calls = 200;
    CallQueue queue(readers + 1);
    auto seen = os::open_pipe();
    std::vector<os::ProcessRef> children;
    for (int i = 0; i < readers; ++i)
      children.push_back(testing::start([&] {
        Reader reader(queue);
        while (auto call = reader.get())
          os::write_all(seen.write_end.get(), {reinterpret_cast<const char *>(&call->id), sizeof call->id});
      }));
    std::set<std::uint64_t> ids;
    for (std::uint64_t put = 0, id = 0; ids.size() < calls;) {
      while (put < calls && queue.try_put(Call{.id = put, .task = std::string(put * 10, 'x')}))
        ++put;
      os::read_exactly(seen.read_end.get(), &id, sizeof id);
      expect(id < calls && ids.insert(id).second, "no call is read twice");
    }
    for (int ended = 0; ended < readers; ++ended) {
      testing::wait_until([&] { return queue.depth() == 0; }, "the readers wait");
      auto exited = [&] { return std::ranges::count_if(children, &os::ProcessRef::has_exited); };
      expect_equal(exited(), ended, "readers that have left");
      queue.try_put({});
      testing::wait_until([&] { return exited() > ended; }, "one reader leaves");
    }
    for (auto &child : children)
      expect(os::reap(child) == well, "each reader returned");
  });
}

TEST_CASE("a queue that has been closed ends its readers, once it is empty", "[pool]") {
  testing::check_in_child([] {
    CallQueue queue(5);
    Reader reader(queue);
    queue.try_put(Call{.task = "last"});
    queue.close();
    expect(reader.get().value().task == "last", "what was put before still arrives");
    expect(!reader.get(), "then nothing does");
    expect(!reader.get() && queue.depth() == 0, "and slots are given back for calls alone");
  });
}

TEST_CASE("closing a queue waits for the readers of a full pipe", "[pool]") {
  testing::check_in_child([] {
    CallQueue queue(5);
    auto owner = testing::start([&] {
      queue.try_put(Call{.task = std::string(1 << 20, 'x')}); // more than a pipe holds
      queue.try_put(Call{.task = "next"});
      queue.close();
    });
    testing::wait_until_in(owner, SYS_futex);
    expect(!owner.has_exited(), "close() waits for the feeder");
    Reader reader(queue);
    expect(reader.get().value().task.size() == 1 << 20 && reader.get().value().task == "next", "all is read");
    expect(os::reap(owner) == well, "then it returns");
  });
}

TEST_CASE("discarding unread calls neither waits nor ends the owner by SIGPIPE", "[pool]") {
  testing::check_in_child([] {
    CallQueue queue(5);
    queue.try_put(Call{.task = std::string(1 << 20, 'x')});
    queue.try_put(Call{.task = "next"});
    pollfd begun{.fd = queue.read_fd(), .events = POLLIN, .revents = 0};
    expect(::poll(&begun, 1, 10000) == 1, "the feeder writes");
    queue.discard();
    expect(queue.read_fd() < 0 && queue.write_fd() < 0, "both ends are closed");
  });
}

TEST_CASE("a reader that is killed while it holds the lock keeps all others out", "[pool]") {
  bool killed = GENERATE(true, false); // the twin lets go
  testing::check_in_child([&] {
    CallQueue queue(5);
    auto holds = os::open_pipe(), go = os::open_pipe();
    auto first = testing::start([&] {
      Reader reader(queue);
      auto call = reader.get([&] {
        send_byte(holds);
        wait_for_byte(go);
      });
      expect(call && call->task == "one", "the first call");
    });
    wait_for_byte(holds);
    auto second = testing::start([&] {
      Reader reader(queue);
      expect(reader.get().value().task == "two", "the second call");
    });
    testing::wait_until_in(second, SYS_futex);
    queue.try_put(Call{.task = "one"});
    queue.try_put(Call{.task = "two"});
    if (!killed) {
      send_byte(go);
      expect(os::reap(first) == well && os::reap(second) == well, "each has its call");
      expect_equal(queue.depth(), 0, "depth");
      return;
    }
    first.send(SIGKILL);
    os::reap(first);
    auto locks = map_locks(queue.locks_fd());
    expect_equal(locks->read_lock.value(), 0, "the lock");
    testing::wait_until_in(second, SYS_futex);
    expect_equal(queue.depth(), 2, "calls that no worker will read");
    expect(!locks->read_lock.try_wait(), "nor will any later reader");
  });
}

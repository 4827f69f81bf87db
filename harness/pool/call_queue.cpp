#include "harness/pool/call_queue.hpp"

#include <array>
#include <csignal>
#include <cstring>

namespace pidleak::pool {
namespace {

// A frame: 8 bytes id, 8 bytes size, then the task. This size marks a sentinel.
constexpr std::uint64_t sentinel_size = ~std::uint64_t{0};
using Header = std::array<std::uint64_t, 2>;

std::string encode(const std::optional<Call> &call) {
  Header header = {call ? call->id : 0, call ? call->task.size() : sentinel_size};
  std::string frame(sizeof header, '\0');
  std::memcpy(frame.data(), header.data(), sizeof header);
  return call ? frame + call->task : frame;
}

} // namespace

CallQueue::CallQueue(int capacity) : locks_(SharedLocksMapping::create(capacity)), pipe_(os::open_pipe()) {}

CallQueue::~CallQueue() { close(); }

bool CallQueue::try_put(const std::optional<Call> &call) {
  if (!locks_->free_slots.try_wait())
    return false;
  std::lock_guard lock(mutex_);
  buffer_.push_back(encode(call));
  if (!feeder_.joinable())
    feeder_ = std::thread([this] { feed(); });
  changed_.notify_one();
  return true;
}

void CallQueue::feed() {
  // A queue without readers is an expected end: no SIGPIPE. Only this thread is kept from it, since
  // workers would inherit a disposition.
  sigset_t only_sigpipe;
  sigemptyset(&only_sigpipe);
  sigaddset(&only_sigpipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &only_sigpipe, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !buffer_.empty(); });
    if (buffer_.empty())
      return;
    auto frame = std::move(buffer_.front());
    buffer_.pop_front();
    lock.unlock();
    if (!os::write_all(pipe_.write_end.get(), frame)) // no reader is left to miss the rest
      return;
    lock.lock();
  }
}

void CallQueue::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  if (feeder_.joinable())
    feeder_.join();
  pipe_.write_end.reset();
}

void CallQueue::discard() {
  {
    std::lock_guard lock(mutex_);
    for (; !buffer_.empty(); buffer_.pop_front())
      locks_->free_slots.post(); // no worker will read it and give its slot back
  }
  pipe_.read_end.reset(); // once no worker holds it either, a feeder that waits for room gets EPIPE
  close();
}

std::optional<Call> CallReader::get(const std::function<void()> &while_locked) {
  Header header;
  std::string task;
  locks_.read_lock.wait();
  while_locked();
  bool got = os::read_exactly(read_fd_, header.data(), sizeof header);
  bool is_call = got && header[1] != sentinel_size;
  if (is_call) {
    task.resize(header[1]);
    is_call = os::read_exactly(read_fd_, task.data(), task.size());
  }
  locks_.read_lock.post();
  if (got)
    locks_.free_slots.post();
  if (!is_call)
    return {};
  return Call{.id = header[0], .task = std::move(task)};
}

} // namespace pidleak::pool

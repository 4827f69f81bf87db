#include "harness/os/task_events.hpp"

#include "harness/os/advice.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

namespace pidleak::os {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t buffer_size = 8 * page; // some 700 records; a power of two
constexpr std::size_t map_size = page + buffer_size;

/// For the calling thread, and what it forks, while it is on that CPU.
UniqueFd open_event(int cpu) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.inherit = 1;
  attributes.task = 1;
  attributes.comm = 1;
  attributes.comm_exec = 1;
  attributes.exclude_kernel = 1; // which an ordinary user may not ask for
  attributes.exclude_hv = 1;
  attributes.sample_id_all = 1;
  attributes.sample_type = PERF_SAMPLE_TIME;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC;
  attributes.watermark = 1; // readable with the first byte
  attributes.wakeup_watermark = 1;
  return UniqueFd::adopt(
      static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
}

std::string refusal(int cpu, int error) {
  auto text = fmt::format("perf_event_open(CPU {}): {}", cpu, describe_errno(error));
  if (error == EACCES) // an ordinary user may use 2 at most; Debian's kernel has 3, Ubuntu's 4
    return text + ". " + advise_sysctl("kernel.perf_event_paranoid", "2");
  return error == EPERM ? fmt::format("{}. {}", text, seccomp_may_refuse) : text;
}

/// The slices of this thread become the shortest there are, so that a wake-up is followed at once: what an event is
/// about may be over after half a millisecond, and a CPU's slice takes some (EEVDF, Linux 6.12; before, nothing
/// changes). Not for children.
void be_scheduled_soon() {
  struct {
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } attributes{}; // struct sched_attr, sched_setattr(2); glibc before 2.41 has none
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != SCHED_OTHER ||
      attributes.nice < 0) // which its children would lose, sched(7)
    return;
  constexpr std::uint64_t reset_on_fork = 1, shortest_ns = 100'000;
  attributes.flags |= reset_on_fork;
  attributes.runtime = shortest_ns;
  ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/// The value at `at`, wherever that lies.
template <class Value>
Value value_at(const std::string &bytes, std::size_t at) {
  Value value{};
  if (at + sizeof value <= bytes.size())
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// One record behind its header; nothing of it is what others could not have written.
TaskEvent read_record(const perf_event_header &header, const std::string &body) {
  using Kind = TaskEvent::Kind;
  constexpr std::size_t word = sizeof(std::uint32_t), time_size = sizeof(std::uint64_t);
  TaskEvent event{.kind = Kind::lost};
  event.pid = value_at<pid_t>(body, 0);
  if (body.size() >= time_size) // after all else, PERF_SAMPLE_TIME
    event.at = std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(value_at<std::uint64_t>(body, body.size() - time_size)));
  if (header.type == PERF_RECORD_FORK || header.type == PERF_RECORD_EXIT) {
    event.kind = header.type == PERF_RECORD_FORK ? Kind::fork : Kind::exit;
    event.parent = value_at<pid_t>(body, word);
  } else if (header.type == PERF_RECORD_COMM) {
    event.kind = Kind::exec;
    auto name = body.substr(std::min(2 * word, body.size()));
    event.name = name.c_str(); // padded with zeros
  }
  return event;
}

bool is_told(const perf_event_header &header) {
  switch (header.type) {
  case PERF_RECORD_FORK:
  case PERF_RECORD_EXIT:
  case PERF_RECORD_LOST:
    return true;
  case PERF_RECORD_COMM: // a name that was changed without exec is none
    return (header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0;
  default:
    return false;
  }
}

} // namespace

TaskEvents::Buffer::Buffer(UniqueFd event)
    : event_(std::move(event)), memory_(::mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0)) {
  if (memory_ == MAP_FAILED)
    throw_errno("mmap({} bytes of a perf event)", map_size);
}

TaskEvents::Buffer::Buffer(Buffer &&other) noexcept
    : event_(std::move(other.event_)), memory_(std::exchange(other.memory_, MAP_FAILED)) {}

TaskEvents::Buffer::~Buffer() {
  if (memory_ != MAP_FAILED)
    ::munmap(memory_, map_size);
}

/// The buffer is a ring: what is behind its end is at its beginning.
std::string TaskEvents::Buffer::bytes(std::uint64_t from, std::size_t count) const {
  const auto *ring = static_cast<const char *>(memory_) + page;
  auto at = static_cast<std::size_t>(from % buffer_size);
  auto first = std::min(count, buffer_size - at);
  return std::string(ring + at, first) + std::string(ring, count - first);
}

void TaskEvents::Buffer::take(std::vector<TaskEvent> &events) {
  auto &control = *static_cast<perf_event_mmap_page *>(memory_);
  auto head = std::atomic_ref(control.data_head).load(std::memory_order_acquire);
  auto tail = control.data_tail;
  while (tail < head) {
    perf_event_header header{};
    auto bytes_of_header = bytes(tail, sizeof header);
    std::memcpy(&header, bytes_of_header.data(), sizeof header);
    if (header.size < sizeof header || header.size > head - tail) { // no kernel writes that
      events.push_back({.kind = TaskEvent::Kind::lost});
      tail = head;
      break;
    }
    if (is_told(header))
      events.push_back(read_record(header, bytes(tail + sizeof header, header.size - sizeof header)));
    tail += header.size;
  }
  std::atomic_ref(control.data_tail).store(tail, std::memory_order_release);
}

TaskEvents::TaskEvents() {
  try {
    open();
    be_scheduled_soon();
  } catch (const std::exception &e) {
    why_none_ = e.what();
    readable_.reset();
    buffers_.clear();
  }
}

void TaskEvents::open() {
  auto cpus = ::sysconf(_SC_NPROCESSORS_CONF);
  constexpr rlim_t for_all_else = 32;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < static_cast<rlim_t>(cpus) + for_all_else)
    throw std::runtime_error(fmt::format("it takes a descriptor for each of {} CPUs, and there may be only {} (ulimit "
                                         "-n)",
                                         cpus, limit.rlim_cur));
  readable_ = UniqueFd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!readable_)
    throw_errno("epoll_create1()");
  for (int cpu = 0; cpu < cpus; ++cpu) {
    auto event = open_event(cpu);
    if (!event && errno == ENODEV) // it is off
      continue;
    if (!event)
      throw std::runtime_error(refusal(cpu, errno));
    auto &buffer = buffers_.emplace_back(std::move(event));
    epoll_event readable{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(readable_.get(), EPOLL_CTL_ADD, buffer.fd(), &readable) != 0)
      throw_errno("epoll_ctl(a perf event)");
  }
}

std::vector<TaskEvent> TaskEvents::take() {
  std::vector<TaskEvent> events;
  for (auto &buffer : buffers_)
    buffer.take(events);
  std::stable_sort(events.begin(), events.end(), [](const auto &a, const auto &b) { return a.at < b.at; });
  return events;
}

} // namespace pidleak::os

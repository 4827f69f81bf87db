#include "workers/task.hpp"

#include "harness/base/json.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/protocol/message.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace pidleak::workers {
namespace {

os::UniqueFd open_fifo(const std::string &path, int flags) {
  os::UniqueFd fd;
  do { // a signal handler that returns interrupts open(2) of a FIFO
    fd = os::UniqueFd::adopt(::open(path.c_str(), flags | O_CLOEXEC));
  } while (!fd && errno == EINTR);
  if (!fd)
    os::throw_errno("open({})", path);
  return fd;
}

std::string read_order(const std::string &gate) {
  auto fd = open_fifo(gate, O_RDONLY);
  std::string order; // which comes in one piece, and no other after it
  std::array<char, 64> bytes{};
  while (!order.ends_with('\n')) {
    auto got = ::read(fd.get(), bytes.data(), bytes.size());
    if (got == 0)
      break;
    if (got < 0 && errno != EINTR)
      os::throw_errno("read({})", gate);
    order.append(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  return order.substr(0, order.find('\n'));
}

void report(const std::string &directory, const protocol::Message &event) {
  auto events = open_fifo(directory + "/events", O_WRONLY);
  os::write_all(events.get(), event.line()); // below PIPE_BUF: lines of several workers never mix, pipe(7)
}

} // namespace

std::string Channel::hold(const std::string &point, const std::string &gate, std::optional<long long> task) const {
  nlohmann::json fields = {{"point", point}, {"pid", ::getpid()}};
  if (task)
    fields["task"] = *task;
  report(directory_, protocol::Message::event("at", fields));
  auto order = read_order(directory_ + "/" + gate);
  constexpr std::string_view allocate_order = "allocate ";
  if (!order.starts_with(allocate_order))
    return order;
  std::size_t mebibytes = 0;
  std::from_chars(order.data() + allocate_order.size(), order.data() + order.size(), mebibytes);
  allocate(mebibytes);
  report(directory_, protocol::Message::event("survived", {{"pid", ::getpid()}}));
  return order;
}

void Channel::hold_if_chosen(const std::string &point) const {
  auto choice = directory_ + "/chosen-for-" + point;
  if (::access(choice.c_str(), F_OK) == 0 && os::read_file(choice) == std::to_string(::getpid()))
    hold(point, "gate-" + point);
}

void allocate(std::size_t mebibytes) {
  std::size_t size = mebibytes << 20;
  void *memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    os::throw_errno("mmap({} MiB)", mebibytes);
  for (std::size_t offset = 0; offset < size; offset += 4096)
    static_cast<volatile char *>(memory)[offset] = 1;
  ::munmap(memory, size);
}

std::string run_task(const std::string &task) {
  auto fields = protocol::parse_object(task);
  if (!fields.contains("task") || !fields.contains("channel"))
    throw protocol::ProtocolError("not a task: " + protocol::Message::printable(task));
  auto number = fields["task"].get<long long>();
  std::string order =
      Channel(fields["channel"].get<std::string>()).hold("in-task", fmt::format("gate-{}", number), number);
  constexpr std::string_view sized = "finish ";
  std::size_t size = 0;
  if (order.starts_with(sized))
    std::from_chars(order.data() + sized.size(), order.data() + order.size(), size);
  return size == 0 ? "done" : std::string(size, '.');
}

std::string describe_task(long long number, const std::string &channel) {
  return text_of(nlohmann::json{{"task", number}, {"channel", channel}});
}

} // namespace pidleak::workers

#include "harness/replay/channel.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace pidleak::replay {
namespace {

os::UniqueFd make_fifo(const std::string &path) {
  if (::mkfifo(path.c_str(), 0600) != 0)
    os::throw_errno("mkfifo({})", path);
  auto fd = os::UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)); // fifo(7): Linux allows it
  if (!fd)
    os::throw_errno("open({})", path);
  return fd;
}

} // namespace

std::string task_gate(long long task) { return fmt::format("gate-{}", task); }

Channel::Channel(std::string directory, int tasks, const std::vector<std::string> &points)
    : directory_(std::move(directory)) {
  rlimit files{}; // one descriptor a task: as many as are allowed
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  events_ = make_fifo(directory_ + "/events");
  for (int task = 0; task < tasks; ++task)
    make_gate(task_gate(task));
  for (const auto &point : points)
    make_gate("gate-" + point);
}

void Channel::make_gate(const std::string &name) {
  gates_.emplace(name, Gate{.fd = make_fifo(directory_ + "/" + name)});
}

void Channel::order(const std::string &gate, const std::string &what) {
  auto found = gates_.find(gate);
  if (found == gates_.end() || std::exchange(found->second.ordered, true))
    return;
  os::write_all(found->second.fd.get(), what + "\n");
}

void Channel::choose(const std::string &point, pid_t pid) {
  auto path = directory_ + "/chosen-for-" + point;
  auto fd = os::UniqueFd::adopt(::open((path + ".new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd)
    os::throw_errno("open({}.new)", path);
  os::write_all(fd.get(), std::to_string(pid));
  if (::rename((path + ".new").c_str(), path.c_str()) != 0) // workers see all of it or nothing
    os::throw_errno("rename({}.new)", path);
}

} // namespace pidleak::replay

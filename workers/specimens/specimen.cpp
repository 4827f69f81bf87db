#include "workers/specimens/specimen.hpp"

#include "harness/base/deadline.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <ctime>

namespace pidleak::specimens {

std::vector<Specimen> all() {
  std::vector<Specimen> specimens;
  for (const auto &some : {waiting_workers(), sharing_workers(), hiding_workers(), escaping_workers(), stuck_owners(),
                           workers_that_end(), owners_that_end()})
    specimens.insert(specimens.end(), some.begin(), some.end());
  return specimens;
}

pid_t start(const std::function<void()> &body) {
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork()");
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

pid_t start_and_wait(const std::function<void(const std::function<void()> &ready)> &body) {
  auto pipe = os::open_pipe();
  pid_t pid = start([&] {
    pipe.read_end.reset();
    body([&] { pipe.write_end.reset(); });
  });
  pipe.write_end.reset();
  read_byte(pipe.read_end.get()); // end of file
  return pid;
}

void daemonize(const std::function<void()> &body) {
  wait_for(start([&] {
    ::setsid();
    start(body);
  }));
}

void pause_for_ever() {
  for (;;)
    ::pause();
}

void sleep_ms(int milliseconds) {
  timespec left{.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
  while (::nanosleep(&left, &left) != 0) {
  }
}

void compute_ms(int milliseconds) {
  auto deadline = Deadline::after(std::chrono::milliseconds(milliseconds));
  while (!deadline.passed()) {
  }
}

void *share(std::size_t size) {
  void *memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    os::throw_errno("mmap({} shared)", size);
  return memory;
}

void fill(const os::Pipe &pipe) {
  int fd = pipe.write_end.get();
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  const std::string page(4096, '.');
  while (::write(fd, page.data(), page.size()) > 0) {
  }
  ::fcntl(fd, F_SETFL, 0);
}

void read_byte(int fd) {
  char byte = 0;
  os::read_exactly(fd, &byte, 1);
}

void write_byte(int fd) { os::write_all(fd, "."); }

void read_count(int eventfd) {
  std::uint64_t count = 0;
  os::read_exactly(eventfd, &count, sizeof count);
}

void wait_for(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

} // namespace pidleak::specimens

// What a running process waits for, and for whom, wherever that is.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

using namespace pidleak::testing;
using namespace pidleak;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string why(const os::ProcessRef &process) {
  auto ran = run({"why", std::to_string(process.pid())});
  expect_equal(ran.status, 0, "status; " + ran.err);
  return ran.out;
}

/// Locks one file, and once it is told to go on waits for the lock on another.
os::ProcessRef lock_both(const std::string &first, const std::string &second, os::Pipe &go_on) {
  auto locked = os::open_pipe();
  auto process = start([&] {
    int one = ::open(first.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int other = ::open(second.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    expect(::flock(one, LOCK_EX) == 0, "the first lock");
    os::write_all(locked.write_end.get(), ".");
    char byte = 0;
    os::read_exactly(go_on.read_end.get(), &byte, 1);
    ::flock(other, LOCK_EX);
  });
  char byte = 0;
  expect(os::read_exactly(locked.read_end.get(), &byte, 1), "it has the first lock");
  return process;
}

} // namespace

TEST_CASE("why tells who has the other end of a pipe, and who has not", "[cli]") {
  check_in_child([] {
    auto pipe = os::open_pipe();
    auto reads = start([&] {
      pipe.write_end.reset();
      char byte = 0;
      os::read_exactly(pipe.read_end.get(), &byte, 1);
    });
    auto has_write_end = plant([&] { pipe.read_end.reset(); });
    auto has_read_end = plant([&] { pipe.write_end.reset(); });
    pipe.write_end.reset();
    pipe.read_end.reset();
    wait_until_in(reads, SYS_read);
    auto said = why(reads);
    expect_part(said, fmt::format("its write end is open in: pid {}\n", has_write_end.pid()));
    expect_part(said, fmt::format("outside   pid {} ", has_write_end.pid()));
    expect(said.find(fmt::format("pid {}", has_read_end.pid())) == said.npos, "the read end is of no matter: " + said);
  });
}

TEST_CASE("why tells of two processes that wait for each other's locks on files", "[cli]") {
  check_in_child([] {
    TemporaryDirectory directory;
    auto go_on = os::open_pipe();
    auto one = lock_both(directory / "a", directory / "b", go_on),
         other = lock_both(directory / "b", directory / "a", go_on);
    os::write_all(go_on.write_end.get(), "..");
    wait_until_in(one, SYS_flock);
    wait_until_in(other, SYS_flock);
    auto said = why(one);
    expect_part(said, fmt::format("/b; it is held by: pid {}\n", other.pid()));
    expect_part(said, fmt::format("/a; it is held by: pid {}\n", one.pid()));
    expect_part(said, "in a circle: those that it waits for wait for it as well\n");
  });
}

TEST_CASE("why tells which FIFO a process opens, and shows those below it", "[cli]") {
  check_in_child([] {
    TemporaryDirectory directory;
    auto path = directory / "fifo";
    expect(::mkfifo(path.c_str(), 0600) == 0, path);
    auto above = plant([&] {
      if (::fork() == 0) {
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        ::_exit(0);
      }
    });
    wait_until([&] { return why(above).find("the other end of FIFO") != std::string::npos; },
               "its child opens the FIFO");
    expect_part(why(above), path);
    expect_part(why(above), "  below     pid ");
  });
}

TEST_CASE("why of what is no process is told with status 2", "[cli]") {
  check_usage({"why", "4194304"}, "there is no such process");
  if (::geteuid() == 0 && os::read_stat(2) && os::read_stat(2)->comm == "kthreadd")
    check_usage({"why", "2"}, "that is a kernel thread");
  check_usage({"why", "0"}, "0");
  check_usage({"why", "x"}, "x");
  check_usage({"why"}, "PID");
}

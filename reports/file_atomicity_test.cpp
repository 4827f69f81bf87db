// A report is there whole or not at all, whatever ends its writer.
#include "harness/os/test_support.hpp"
#include "reports/file.hpp"
#include "reports/file_test_support.hpp"
#include "reports/report.hpp"
#include "reports/temporary_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <random>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using testing::error_of;
using testing::expect;
using testing::expect_equal;
using testing::TemporaryDirectory;
using Names = std::set<std::string>;

/// From here on this process is on a file system without nameless files, as NFS is.
void refuse_nameless_files() { testing::refuse_nameless_files(EOPNOTSUPP); }
void nothing() {}

/// What a file may hold while it is written again and again.
const std::string old_text(50000, 'o'), new_text(70000, 'n');

bool is_whole(const std::string &path) {
  auto text = os::read_file(path);
  return text == old_text || text == new_text;
}

/// What killed writers left beside report.json: one at most, and the next writer removes it.
void expect_no_litter(const TemporaryDirectory &directory) {
  expect(directory.names().size() <= 2, "a killed writer leaves one temporary name at most");
  write_atomically(directory / "report.json", old_text);
  expect(directory.names() == Names{"report.json"}, "the next writer removes what a killed one left");
}

/// Lets `writer` make `stops` entries to and exits from system calls, and kills it. False: it came to its end before.
bool kill_after(int stops, const std::function<void()> &writer) {
  auto child = testing::start([&] {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    writer();
  });
  int status = 0;
  for (int i = 0; i <= stops; ++i) {
    if (::waitpid(child.pid(), &status, 0) != child.pid())
      os::throw_errno("waitpid({})", child.pid());
    if (WIFEXITED(status)) {
      expect_equal(WEXITSTATUS(status), 0, "the writer's status");
      return false;
    }
    if (i < stops)
      ::ptrace(PTRACE_SYSCALL, child.pid(), nullptr, nullptr);
  }
  child.send(SIGKILL);
  os::reap(child);
  return true;
}

} // namespace

TEST_CASE("on a full disk the old report stays, and nothing else", "[report]") {
  testing::require_mounts();
  TemporaryDirectory directory;
  for (auto *set_up : {&nothing, &refuse_nameless_files})
    testing::check_in_child([&, set_up] {
      testing::mount_private(directory.path(), "tmpfs", "size=64k");
      set_up();
      write_atomically(directory / "report.json", "old");
      auto error = error_of([&] { write_atomically(directory / "report.json", std::string(100000, 'x')); });
      expect_equal(error, ENOSPC, "the error");
      expect_equal(os::read_file(directory / "report.json"), "old", "the report");
      expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
      write_atomically(directory / "report.json", std::string(30000, 'y')); // nor does it take up space
    });
}

TEST_CASE("a writer that is killed at any system call leaves a whole report", "[report]") {
  for (auto *set_up : {&nothing, &refuse_nameless_files})
    testing::check_in_child([set_up] {
      TemporaryDirectory directory;
      write_atomically(directory / "report.json", old_text);
      int stops = 0;
      for (; kill_after(stops,
                        [&] {
                          set_up();
                          write_atomically(directory / "report.json", new_text);
                        });
           ++stops) {
        expect(is_whole(directory / "report.json"), fmt::format("the report is whole after {} stops", stops));
        expect_no_litter(directory);
      }
      expect(stops > 20, "it was killed often");
      expect(os::read_file(directory / "report.json") == new_text, "the writer that lives comes to its end");
    });
}

TEST_CASE("a writer that is killed at a random moment leaves a whole report", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    write_atomically(directory / "report.json", old_text);
    std::mt19937 random(std::random_device{}());
    for (int i = 0; i < 50; ++i) {
      auto first = os::open_pipe();
      auto writer = testing::start([&] {
        for (bool told = false;; told = true) {
          write_atomically(directory / "report.json", new_text);
          write_atomically(directory / "report.json", old_text);
          if (!told)
            os::write_all(first.write_end.get(), ".");
        }
      });
      char byte = 0;
      expect(os::read_exactly(first.read_end.get(), &byte, 1), "the writer is at work");
      auto moment = Clock::now() + std::chrono::microseconds(random() % 2000);
      while (Clock::now() < moment) // not to wait for anything: to hit another moment every time
        ;
      writer.send(SIGKILL);
      os::reap(writer);
      expect(is_whole(directory / "report.json"), "the report is whole");
      expect_no_litter(directory);
    }
  });
}

TEST_CASE("only what a dead writer left is swept", "[report]") {
  TemporaryDirectory directory;
  const std::string prefix = ".pidleak-report-";
  const std::string dead = prefix + "0123456789abcdef", alive = prefix + "fedcba9876543210", notes = prefix + "notes",
                    fifo = prefix + "00000000000000ff";
  for (const auto &name : {dead, alive, notes})
    os::UniqueFd::adopt(::open((directory / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  REQUIRE(::mkfifo((directory / fifo).c_str(), 0600) == 0);
  auto writer = os::UniqueFd::adopt(::open((directory / alive).c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::flock(writer.get(), LOCK_EX) == 0);
  write_atomically(directory / "report.json", "text");
  CHECK(directory.names() == Names{alive, fifo, notes, "report.json"});
}

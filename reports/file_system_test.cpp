// Reports on file systems that have no nameless files, no numbers of links, or no locks that other machines see. They
// are played: by a system call that is refused, or by one that this program answers in the place of libc.
#include "harness/os/test_support.hpp"
#include "reports/destination.hpp"
#include "reports/file.hpp"
#include "reports/file_test_support.hpp"
#include "reports/new_file.hpp"
#include "reports/report.hpp"
#include "reports/temporary_directory.hpp"

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using testing::error_of;
using testing::expect;
using testing::expect_equal;
using testing::TemporaryDirectory;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

/// What the calls below say instead of the truth; in a child of the test process alone.
struct {
  bool no_link_counts = false;
  long file_system = 0;
  std::function<void()> before_lock;
} played;

const std::string dead_ones = ".pidleak-report-0123456789abcdef";

} // namespace

extern "C" {

int fstat(int fd, struct stat *info) noexcept {
  int result = ::fstatat(fd, "", info, AT_EMPTY_PATH);
  if (result == 0 && played.no_link_counts)
    info->st_nlink = 0;
  return result;
}

int fstatfs(int fd, struct statfs *info) noexcept {
  auto result = static_cast<int>(::syscall(SYS_fstatfs, fd, info));
  if (result == 0 && played.file_system != 0)
    info->f_type = played.file_system;
  return result;
}

int flock(int fd, int operation) noexcept {
  if (played.before_lock)
    std::exchange(played.before_lock, nullptr)();
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

} // extern "C"

TEST_CASE("a file system that knows no nameless files may say so in any words", "[report]") {
  for (int error : {EOPNOTSUPP, EISDIR, EINVAL, ENOSYS, EPERM})
    testing::check_in_child([error] {
      TemporaryDirectory directory;
      testing::refuse_nameless_files(error);
      for (const char *text : {"made", "replaced"}) {
        check_writable(directory / "report.json");
        write_atomically(directory / "report.json", text);
        expect_equal(os::read_file(directory / "report.json"), text, "the report");
      }
      expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
    });
}

TEST_CASE("a nameless file that can be given no name is written again with one", "[report]") {
  for (int error : {EPERM, ENOENT, EOPNOTSUPP})
    testing::check_in_child([error] {
      TemporaryDirectory directory;
      testing::refuse(__NR_linkat, error);
      for (const char *text : {"made", "replaced"}) {
        write_atomically(directory / "report.json", text);
        expect_equal(os::read_file(directory / "report.json"), text, "the report");
        fs::permissions(directory / "report.json", fs::perms(0640));
      }
      write_atomically(directory / "report.json", "with its mode");
      expect_equal(testing::stat_of(directory / "report.json").st_mode & 0777, 0640U, "the mode");
      expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
    });
}

TEST_CASE("a file system that counts no links loses no report", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    testing::refuse_nameless_files(EOPNOTSUPP); // FUSE has none either
    played.no_link_counts = true;
    for (const char *text : {"made", "replaced"}) {
      check_writable(directory / "report.json");
      write_atomically(directory / "report.json", text);
      expect_equal(os::read_file(directory / "report.json"), text, "the report");
    }
    expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
  });
}

TEST_CASE("a temporary file that is swept before it is locked is made again", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    testing::refuse_nameless_files(EOPNOTSUPP);
    bool swept = false;
    played.before_lock = [&] {
      for (const auto &name : directory.names())
        swept = ::unlink((directory / name).c_str()) == 0;
    };
    write_atomically(directory / "report.json", "text");
    expect(swept, "it was swept");
    expect_equal(os::read_file(directory / "report.json"), "text", "the report");
    expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
  });
}

TEST_CASE("where another machine's locks are not seen nothing is swept", "[report]") {
  constexpr long others[] = {NFS_SUPER_MAGIC, 0xFE534D42 /* SMB2 */, 0x65735546 /* FUSE */,
                             V9FS_MAGIC,      0x00C36400 /* Ceph */, 0x0BD00BD0 /* Lustre */,
                             0x12345678 /* unknown */};
  for (long other : others)
    testing::check_in_child([other] {
      TemporaryDirectory directory;
      os::UniqueFd::adopt(::open((directory / dead_ones).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      played.file_system = other;
      write_atomically(directory / "report.json", "text");
      expect(directory.names() == Names{dead_ones, "report.json"}, fmt::format("it stays on {:#x}", other));
      played.file_system = TMPFS_MAGIC;
      write_atomically(directory / "report.json", "text");
      expect(directory.names() == Names{"report.json"}, "it goes where locks are seen");
    });
}

TEST_CASE("only plain files are swept", "[report]") {
  TemporaryDirectory directory;
  REQUIRE(::mkfifo((directory / dead_ones).c_str(), 0600) == 0);
  auto reader = os::UniqueFd::adopt(::open((directory / dead_ones).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  write_atomically(directory / "report.json", "text");
  CHECK(directory.names() == Names{dead_ones, "report.json"});
}

TEST_CASE("a directory that takes the report's place is an error, and nothing is left beside it", "[report]") {
  for (bool nameless : {true, false})
    testing::check_in_child([nameless] {
      TemporaryDirectory directory;
      if (!nameless)
        testing::refuse_nameless_files(EOPNOTSUPP);
      played.before_lock = [&] { fs::create_directory(directory / "report.json"); };
      expect_equal(error_of([&] { write_atomically(directory / "report.json", "text"); }), EISDIR, "the error");
      expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
    });
}

TEST_CASE("what takes a new report's name meanwhile is looked at as if it had been there", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    played.before_lock = [&] { fs::create_symlink("target", directory / "report.json"); };
    write_atomically(directory / "report.json", "text");
    expect(fs::is_symlink(directory / "report.json"), "the link is there");
    expect_equal(os::read_file(directory / "target"), "text", "the report");
    expect(directory.names() == Names{"report.json", "target"}, "nothing is left beside it");
  });
}

TEST_CASE("an error names the call and the file", "[report]") {
  testing::check_in_child([] {
    auto text_of = [](const std::string &path) -> std::string {
      try {
        write_atomically(path, "text");
      } catch (const os::SyscallError &e) {
        return e.what();
      }
      return "";
    };
    expect_equal(text_of("/dev/full"), "write(/dev/full, 4 bytes): ENOSPC (No space left on device)", "one of write");
    TemporaryDirectory directory;
    auto path = directory / "report.json";
    testing::refuse(__NR_fsync, EIO);
    expect_equal(text_of(path), fmt::format("fsync(a file beside {}): EIO (Input/output error)", path), "of fsync");
    expect(directory.names().empty(), "nothing is left");
  });
}

#include "harness/os/test_support.hpp"
#include "reports/file.hpp"
#include "reports/file_test_support.hpp"
#include "reports/report.hpp"
#include "reports/temporary_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using testing::error_of;
using testing::stat_of;
using testing::TemporaryDirectory;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

} // namespace

TEST_CASE("a new report has the mode that the umask gives, one that is replaced keeps its own", "[report]") {
  TemporaryDirectory directory;
  auto path = directory / "report.json";
  auto fds = testing::count_open_fds();
  auto umask = ::umask(027);
  write_atomically(path, "first");
  ::umask(umask);
  CHECK(os::read_file(path) == "first");
  CHECK((stat_of(path).st_mode & 07777) == 0640);
  auto inode = stat_of(path).st_ino;
  auto reader = os::UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); // no other file gets that number
  for (mode_t mode : {0600U, 0666U, 0444U}) {
    fs::permissions(path, fs::perms(mode));
    check_writable(path);
    write_atomically(path, "second");
    CHECK((stat_of(path).st_mode & 07777) == mode);
  }
  CHECK(os::read_file(path) == "second");
  CHECK(stat_of(path).st_ino != inode); // replaced, not written into: a reader of the old one has it whole
  CHECK(directory.names() == Names{"report.json"});
  reader.reset();
  CHECK(testing::count_open_fds() == fds);
}

TEST_CASE("root gives a file that it replaces back to its owner", "[report]") {
  if (::geteuid() != 0)
    SKIP("needs root");
  TemporaryDirectory directory;
  write_atomically(directory / "report.json", "first");
  REQUIRE(::chown((directory / "report.json").c_str(), 65534, 65534) == 0);
  write_atomically(directory / "report.json", "second");
  CHECK(stat_of(directory / "report.json").st_uid == 65534);
}

TEST_CASE("a symbolic link stays, and what it points to is replaced or made", "[report]") {
  TemporaryDirectory directory;
  fs::create_directory(directory / "sub");
  fs::create_symlink("sub/target", directory / "link");
  fs::create_symlink("../link", directory / "sub/chain");
  for (const char *text : {"made", "replaced"}) {
    check_writable(directory / "sub/chain");
    write_atomically(directory / "sub/chain", text);
    CHECK(os::read_file(directory / "sub/target") == text);
    CHECK(fs::is_regular_file(fs::symlink_status(directory / "sub/target")));
  }
  CHECK(fs::read_symlink(directory / "link") == "sub/target");
  CHECK(fs::read_symlink(directory / "sub/chain") == "../link");
  fs::create_symlink("ring", directory / "ring");
  CHECK(error_of([&] { write_atomically(directory / "ring", "x"); }) == ELOOP);
}

TEST_CASE("devices and FIFOs are written to and stay what they are", "[report]") {
  check_writable("/dev/null");
  write_atomically("/dev/null", "text");
  CHECK(fs::is_character_file("/dev/null"));
  CHECK(error_of([] { write_atomically("/dev/full", "text"); }) == ENOSPC);

  TemporaryDirectory directory;
  auto path = directory / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  check_writable(path); // without waiting for a reader
  auto reader = os::UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  write_atomically(path, "text");
  std::string got(4, '\0');
  CHECK(os::read_exactly(reader.get(), got.data(), got.size()));
  CHECK(got == "text");
  CHECK(fs::is_fifo(path));
  CHECK(directory.names() == Names{"fifo"});
}

TEST_CASE("an output that was redirected into a file is written to, not replaced", "[report]") {
  TemporaryDirectory directory;
  auto out = os::UniqueFd::adopt(::open((directory / "out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  auto path = fmt::format("/dev/fd/{}", out.get());
  os::write_all(out.get(), "before, ");
  check_writable(path);
  write_atomically(path, "report");
  os::write_all(out.get(), ", after");
  CHECK(os::read_file(directory / "out") == "before, report, after");
  auto in = os::UniqueFd::adopt(::open((directory / "out").c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(error_of([&] { check_writable(fmt::format("/dev/fd/{}", in.get())); }) == EBADF);
}

TEST_CASE("where no report can be written both calls say the same and leave nothing", "[report]") {
  TemporaryDirectory directory;
  write_atomically(directory / "file", "text");
  auto fds = testing::count_open_fds();
  const std::vector<std::pair<std::string, int>> places = {
      {"", ENOENT},
      {directory.path(), EISDIR},
      {directory / "missing/report.json", ENOENT},
      {directory / "file/report.json", ENOTDIR},
      {directory / std::string(256, 'x'), ENAMETOOLONG},
      {"/proc/report.json", ::geteuid() == 0 ? ENOENT : EACCES}, // no file can be made there, not even by root
  };
  for (const auto &[path, error] : places) {
    CAPTURE(path);
    CHECK(error_of([&, p = path] { check_writable(p); }) == error);
    CHECK(error_of([&, p = path] { write_atomically(p, "text"); }) == error);
  }
  CHECK(directory.names() == Names{"file"});
  CHECK(testing::count_open_fds() == fds);
}

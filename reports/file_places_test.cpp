// Reports in places where a new file can't take the old one's name, or must not: nothing is lost.
#include "harness/os/test_support.hpp"
#include "reports/file.hpp"
#include "reports/file_test_support.hpp"
#include "reports/report.hpp"
#include "reports/temporary_directory.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/xattr.h>

#include <csignal>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using testing::error_of;
using testing::expect;
using testing::expect_equal;
using testing::put;
using testing::stat_of;
using testing::TemporaryDirectory;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

void give(const std::string &path, unsigned user) {
  if (::lchown(path.c_str(), user, user) != 0)
    os::throw_errno("lchown({}, {})", path, user);
}

/// The report is written, longer and shorter than what is there, and the file stays the one that it was.
void expect_in_place(const std::string &path) {
  auto inode = stat_of(path).st_ino;
  for (const auto &text : {std::string(20000, 'l'), std::string("short"), std::string()}) {
    check_writable(path);
    write_atomically(path, text);
    expect_equal(os::read_file(path), text, "the report");
    expect_equal(stat_of(path).st_ino, inode, "the inode");
  }
}

void expect_both_fail(const std::string &path, int error) {
  expect_equal(error_of([&] { check_writable(path); }), error, "what check_writable says of " + path);
  expect_equal(error_of([&] { write_atomically(path, "new"); }), error, "what write_atomically says of " + path);
}

/// False: the file system has no such attributes.
bool set_attribute(const std::string &path, const char *name, const std::string &value) {
  if (::setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0)
    return true;
  if (errno != EOPNOTSUPP)
    os::throw_errno("setxattr({}, {})", path, name);
  return false;
}

/// FS_IMMUTABLE_FL and the like, for as long as this lives. False: the file system has none.
class Flagged {
public:
  Flagged(const std::string &path, int flag) : fd_(os::UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC))) {
    set_ = ::ioctl(fd_.get(), FS_IOC_GETFLAGS, &old_) == 0 && set(old_ | flag);
  }
  Flagged(const Flagged &) = delete;
  Flagged &operator=(const Flagged &) = delete;
  ~Flagged() {
    if (set_)
      set(old_);
  }
  explicit operator bool() const { return set_; }

private:
  bool set(int flags) { return ::ioctl(fd_.get(), FS_IOC_SETFLAGS, &flags) == 0; }

  os::UniqueFd fd_;
  int old_ = 0;
  bool set_ = false;
};

} // namespace

TEST_CASE("a report on a bind-mounted file is written in place", "[report]") {
  testing::require_mounts();
  // Before Linux 5.8 the kernel does not say what is a mount point: rename(2) has to.
  for (bool says_so : {true, false})
    testing::check_in_child([says_so] {
      TemporaryDirectory directory;
      put(directory / "source", "old");
      put(directory / "report.json", "");
      testing::unshare_mounts();
      testing::mount(directory / "source", directory / "report.json", nullptr, MS_BIND);
      if (!says_so)
        testing::refuse(__NR_statx, ENOSYS);
      expect_in_place(directory / "report.json");
      write_atomically(directory / "report.json", "new");
      expect(::umount((directory / "report.json").c_str()) == 0, "the mount is still there");
      expect_equal(os::read_file(directory / "source"), "new", "what was mounted");
      expect(directory.names() == Names{"report.json", "source"}, "nothing is left beside it");
    });
}

TEST_CASE("a file that is mounted read-only is refused before and after", "[report]") {
  testing::require_mounts();
  testing::check_in_child([] {
    TemporaryDirectory directory;
    put(directory / "report.json", "old");
    testing::unshare_mounts();
    testing::mount(directory / "report.json", directory / "report.json", nullptr, MS_BIND);
    testing::mount("none", directory / "report.json", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY);
    expect_both_fail(directory / "report.json", EROFS);
    expect_equal(os::read_file(directory / "report.json"), "old", "the report");
    expect(directory.names() == Names{"report.json"}, "nothing is left beside it");
  });
}

TEST_CASE("a writable file in a directory that isn't is written in place", "[report]") {
  testing::require_root();
  TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms(0755));
  put(directory / "report.json", "old");
  give(directory / "report.json", testing::ordinary_user);
  put(directory / "unreadable.json", "old", 0200);
  give(directory / "unreadable.json", testing::ordinary_user);
  put(directory / "roots.json", "old");
  testing::check_in_child([&] {
    testing::become_ordinary_user();
    expect_in_place(directory / "report.json");
    check_writable(directory / "unreadable.json");
    write_atomically(directory / "unreadable.json", "new");
    expect_both_fail(directory / "roots.json", EACCES);
    expect_both_fail(directory / "missing.json", EACCES);
  });
  CHECK(os::read_file(directory / "unreadable.json") == "new");
  CHECK(os::read_file(directory / "roots.json") == "old");
  CHECK(directory.names() == Names{"report.json", "roots.json", "unreadable.json"});
}

TEST_CASE("another user's file in a sticky directory is written in place where it may be", "[report]") {
  testing::require_root();
  TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms(01777));
  put(directory / "open.json", "old", 0666);
  put(directory / "closed.json", "old", 0644);
  testing::check_in_child([&] {
    testing::become_ordinary_user();
    expect_in_place(directory / "open.json");
    expect_both_fail(directory / "closed.json", EACCES);
  });
  CHECK(os::read_file(directory / "closed.json") == "old");
  CHECK(directory.names() == Names{"closed.json", "open.json"});
}

TEST_CASE("a file with several names keeps them", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    put(directory / "report.json", "old");
    fs::create_hard_link(directory / "report.json", directory / "other.json");
    expect_in_place(directory / "report.json");
    write_atomically(directory / "report.json", "new");
    expect_equal(os::read_file(directory / "other.json"), "new", "the file of the other name");
  });
}

TEST_CASE("a name that another user may have given a file is no way into that file", "[report]") {
  testing::require_root();
  TemporaryDirectory directory;
  put(directory / "victim", "old");
  fs::create_directory(directory / "shared");
  fs::permissions(directory / "shared", fs::perms(01777));
  fs::create_directory(directory / "others");
  give(directory / "others", 1);
  for (const char *place : {"shared/report.json", "others/report.json"}) {
    fs::create_hard_link(directory / "victim", directory / place);
    check_writable(directory / place);
    write_atomically(directory / place, "new"); // replaced: the name stands for another file now
    CHECK(os::read_file(directory / place) == "new");
    CHECK(os::read_file(directory / "victim") == "old");
  }

  // The same for a user that can't replace it.
  fs::permissions(directory.path(), fs::perms(0755));
  give(directory / "victim", testing::ordinary_user);
  fs::create_hard_link(directory / "victim", directory / "others/second.json");
  testing::check_in_child([&] {
    testing::become_ordinary_user();
    expect_both_fail(directory / "others/second.json", EACCES);
  });
  CHECK(os::read_file(directory / "victim") == "old");
}

TEST_CASE("extended attributes stay with the report", "[report]") {
  TemporaryDirectory directory;
  put(directory / "report.json", "old");
  if (!set_attribute(directory / "report.json", "user.note", "kept"))
    SKIP("the file system has no extended attributes");
  testing::check_in_child([&] { expect_in_place(directory / "report.json"); });
  std::string value(4, '\0');
  CHECK(::getxattr((directory / "report.json").c_str(), "user.note", value.data(), value.size()) == 4);
  CHECK(value == "kept");
}

TEST_CASE("attributes that every new file in the directory has are no reason to write in place", "[report]") {
  // As SELinux labels are. A default ACL: u::rw- u:65534:rw- g::r-- m::rw- o::---; acl(5), linux/posix_acl_xattr.h
  auto entry = [](int tag, int permissions, unsigned id) {
    auto bytes = [](unsigned value, int count) {
      std::string text;
      for (int i = 0; i < count; ++i)
        text += static_cast<char>(value >> (8 * i));
      return text;
    };
    return bytes(static_cast<unsigned>(tag), 2) + bytes(static_cast<unsigned>(permissions), 2) + bytes(id, 4);
  };
  auto acl = std::string("\2\0\0\0", 4) + entry(1, 6, ~0U) + entry(2, 6, 65534) + entry(4, 4, ~0U) + entry(16, 6, ~0U) +
             entry(32, 0, ~0U);
  TemporaryDirectory directory;
  if (!set_attribute(directory.path(), "system.posix_acl_default", acl))
    SKIP("the file system has no ACLs");
  auto path = directory / "report.json";
  put(path, "old", 0660);
  REQUIRE(::getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) > 0);
  auto inode = stat_of(path).st_ino;
  write_atomically(path, "new");
  CHECK(stat_of(path).st_ino != inode);
  CHECK(::getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) > 0);

  inode = stat_of(path).st_ino; // but one that has been given others keeps them
  REQUIRE(set_attribute(path, "system.posix_acl_access", acl.replace(4 + 8 + 4, 4, "\1\0\0\0", 4)));
  write_atomically(path, "newer");
  CHECK(stat_of(path).st_ino == inode);
  std::string got(acl.size(), '\0');
  CHECK(::getxattr(path.c_str(), "system.posix_acl_access", got.data(), got.size()) == ssize_t(acl.size()));
  CHECK(got == acl);
}

TEST_CASE("what is written in place on a full disk leaves the old report", "[report]") {
  testing::require_mounts();
  for (bool can_reserve : {true, false})
    testing::check_in_child([can_reserve] {
      TemporaryDirectory directory;
      testing::mount_private(directory.path(), "tmpfs", "size=64k,mode=755");
      if (!can_reserve)
        testing::refuse(__NR_fallocate, EOPNOTSUPP);
      auto path = directory / "report.json";
      put(path, std::string(30000, 'o'));
      fs::create_hard_link(path, directory / "other.json");
      auto blocks = stat_of(path).st_blocks;
      expect_equal(error_of([&] { write_atomically(path, std::string(100000, 'x')); }), ENOSPC, "the error");
      expect(os::read_file(path) == std::string(30000, 'o'), "the old report is there");
      expect_equal(stat_of(path).st_blocks, blocks, "the space that it takes up");
      check_writable(path);
      write_atomically(path, std::string(60000, 'y')); // what there is is enough for it
      expect(os::read_file(path) == std::string(60000, 'y'), "the new report is there");
    });
}

TEST_CASE("a hole in the old report does not count as space", "[report]") {
  testing::require_mounts();
  for (bool can_reserve : {true, false})
    testing::check_in_child([can_reserve] {
      TemporaryDirectory directory;
      testing::mount_private(directory.path(), "tmpfs", "size=64k,mode=755");
      if (!can_reserve)
        testing::refuse(__NR_fallocate, EOPNOTSUPP);
      auto path = directory / "report.json";
      put(path, std::string(10000, 'o'));
      fs::resize_file(path, 60000);
      fs::create_hard_link(path, directory / "other.json");
      put(directory / "filler", std::string(40000, 'f'));
      auto old = os::read_file(path);
      expect_equal(error_of([&] { write_atomically(path, std::string(50000, 'x')); }), ENOSPC, "the error");
      expect(os::read_file(path) == old, "the old report is there");
    });
}

TEST_CASE("a report that may not be read, and so can't be put back, is not touched before there is space", "[report]") {
  testing::require_root();
  struct Case {
    const char *name;
    bool can_reserve;
    off_t size, filler, wanted, limit;
  };
  for (const auto &one : {Case{"reserved", true, 30000, 0, 100000, 0}, Case{"not reserved", false, 30000, 0, 100000, 0},
                          Case{"a hole", true, 60000, 40000, 50000, 0}, Case{"limited", true, 5000, 0, 2000, 1000}})
    testing::check_in_child([&one] {
      TemporaryDirectory directory;
      testing::mount_private(directory.path(), "tmpfs", "size=64k,mode=755,uid=65534");
      auto path = directory / "report.json";
      put(path, std::string(5000, 'o'), 0200);
      fs::resize_file(path, static_cast<std::uintmax_t>(one.size));
      give(path, testing::ordinary_user);
      fs::create_hard_link(path, directory / "other.json");
      put(directory / "filler", std::string(static_cast<std::size_t>(one.filler), 'f'));
      auto old = os::read_file(path);
      auto user = testing::start([&] {
        testing::become_ordinary_user();
        if (!one.can_reserve)
          testing::refuse(__NR_fallocate, EOPNOTSUPP);
        rlimit limit{.rlim_cur = static_cast<rlim_t>(one.limit), .rlim_max = RLIM_INFINITY};
        if (one.limit > 0)
          ::setrlimit(RLIMIT_FSIZE, &limit);
        auto error = error_of([&] { write_atomically(path, std::string(static_cast<std::size_t>(one.wanted), 'x')); });
        expect_equal(error, one.limit > 0 ? EFBIG : ENOSPC, "the error");
      });
      expect(os::reap(user) == os::WaitStatus{}, fmt::format("{}: the error is told", one.name));
      expect(os::read_file(path) == old, fmt::format("{}: the old report is there", one.name));
    });
}

TEST_CASE("without a free inode the report that is there is written in place", "[report]") {
  testing::require_mounts();
  testing::check_in_child([] {
    TemporaryDirectory directory;
    testing::mount_private(directory.path(), "tmpfs", "size=1m,nr_inodes=2,mode=755"); // with the directory itself
    put(directory / "report.json", "old");
    expect_in_place(directory / "report.json");
    expect_both_fail(directory / "missing.json", ENOSPC);
    expect(directory.names() == Names{"report.json"}, "nothing is left");
  });
}

TEST_CASE("a limit to the size of files is an error, and ends nothing", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    const std::string old(500, 'o');
    for (const char *name : {"plain", "linked", "redirected"})
      put(directory / name, old);
    fs::create_hard_link(directory / "linked", directory / "other");
    auto out = os::UniqueFd::adopt(::open((directory / "redirected").c_str(), O_WRONLY | O_CLOEXEC));
    rlimit limit{.rlim_cur = 1000, .rlim_max = 1000};
    expect(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "the limit is set");
    for (const auto &path :
         {directory / "plain", directory / "linked", directory / "missing", fmt::format("/dev/fd/{}", out.get())})
      expect_equal(error_of([&] { write_atomically(path, std::string(2000, 'x')); }), EFBIG, path);
    expect_equal(os::read_file(directory / "plain"), old, "the replaced report");
    expect_equal(os::read_file(directory / "linked"), old, "the one in place");
    expect(directory.names() == Names{"linked", "other", "plain", "redirected"}, "nothing is left beside them");
    sigset_t pending, blocked;
    ::sigpending(&pending);
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    expect(!sigismember(&pending, SIGXFSZ) && !sigismember(&blocked, SIGXFSZ), "the signal is as it was before");
  });
}

TEST_CASE("immutable and append-only files are refused before and after", "[report]") {
  for (int flag : {FS_IMMUTABLE_FL, FS_APPEND_FL}) {
    TemporaryDirectory directory;
    put(directory / "report.json", "old");
    Flagged flagged(directory / "report.json", flag);
    if (!flagged)
      SKIP("needs root, and a file system that has such files");
    testing::check_in_child([&] { expect_both_fail(directory / "report.json", EPERM); });
    CHECK(os::read_file(directory / "report.json") == "old");
    CHECK(directory.names() == Names{"report.json"});
  }
}

TEST_CASE("a report in an immutable directory is written in place", "[report]") {
  TemporaryDirectory directory;
  put(directory / "report.json", "old");
  Flagged flagged(directory.path(), FS_IMMUTABLE_FL);
  if (!flagged)
    SKIP("needs root, and a file system that has such directories");
  testing::check_in_child([&] { expect_in_place(directory / "report.json"); });
}

TEST_CASE("opening a file on overlayfs may give it another inode", "[report]") {
  testing::require_root();
  testing::check_in_child([] {
    TemporaryDirectory directory;
    testing::mount_private(directory.path(), "tmpfs", "mode=755");
    for (const char *name : {"lower", "upper", "merged"})
      fs::create_directory(directory / name);
    testing::mount("lower", directory / "lower", "tmpfs", 0, "mode=755");
    testing::mount("upper", directory / "upper", "tmpfs", 0, "mode=755");
    for (const char *name : {"upper/upper", "upper/work"})
      fs::create_directory(directory / name);
    put(directory / "lower/report.json", "old");
    fs::create_hard_link(directory / "lower/report.json", directory / "lower/other.json");
    testing::mount(
        "overlay", directory / "merged", "overlay", 0,
        fmt::format("lowerdir={0}/lower,upperdir={0}/upper/upper,workdir={0}/upper/work,xino=off", directory.path()));
    check_writable(directory / "merged/report.json");
    write_atomically(directory / "merged/report.json", "new");
    expect_equal(os::read_file(directory / "merged/report.json"), "new", "the report");
  });
}

TEST_CASE("what another process has open is written to, not replaced", "[report]") {
  testing::check_in_child([] {
    TemporaryDirectory directory;
    put(directory / "out", "something longer");
    int fd = ::open((directory / "out").c_str(), O_RDWR | O_CLOEXEC);
    auto other = testing::plant();
    ::close(fd);
    auto path = fmt::format("/proc/{}/fd/{}", other.pid(), fd);
    auto inode = stat_of(directory / "out").st_ino;
    check_writable(path);
    write_atomically(path, "report");
    expect_equal(os::read_file(directory / "out"), "report", "the file");
    expect_equal(stat_of(directory / "out").st_ino, inode, "the inode");
  });
}

// Symbolic links that other users put in the way of a report, before it is looked for and after.
#include "harness/os/test_support.hpp"
#include "reports/destination.hpp"
#include "reports/file.hpp"
#include "reports/file_test_support.hpp"
#include "reports/new_file.hpp"
#include "reports/report.hpp"
#include "reports/temporary_directory.hpp"

#include <catch2/matchers/catch_matchers_string.hpp>

namespace {

using namespace pidleak;
using namespace pidleak::reports;
using Catch::Matchers::ContainsSubstring;
using testing::error_of;
using testing::put;
using testing::TemporaryDirectory;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

void put_link(const std::string &target, const std::string &path, unsigned user) {
  fs::create_symlink(target, path);
  if (::lchown(path.c_str(), user, user) != 0)
    os::throw_errno("lchown({}, {})", path, user);
}

/// A victim, and beside it a directory as /tmp is one.
struct Place {
  explicit Place(unsigned owner = 0) {
    put(directory / "victim", "old");
    fs::create_directory(directory / "tmp");
    if (::chown((directory / "tmp").c_str(), owner, owner) != 0)
      os::throw_errno("chown({})", directory / "tmp");
    fs::permissions(directory / "tmp", fs::perms(01777));
  }
  std::string victim() const { return os::read_file(directory / "victim"); }

  TemporaryDirectory directory;
};

void check_refused(const std::string &path) {
  CAPTURE(path);
  CHECK(error_of([&] { check_writable(path); }) == EACCES);
  CHECK(error_of([&] { write_atomically(path, "new"); }) == EACCES);
}

} // namespace

TEST_CASE("a link of another user in a sticky directory is not followed", "[report]") {
  testing::require_root();
  Place place;
  const auto &in = place.directory;
  put_link("../victim", in / "tmp/report.json", 1);
  put_link("../missing", in / "tmp/dangling.json", 1);
  put_link("..", in / "tmp/parent", 1);
  put_link("tmp/report.json", in / "to_link", 0); // one's own, to another user's
  put_link("report.json", in / "tmp/to_link", 0);
  put_link("tmp/parent", in / "to_parent", 0);
  for (const char *path : {"tmp/report.json", "tmp/dangling.json", "tmp/parent/victim", "tmp/parent/missing",
                           "tmp/parent/tmp/../victim", "to_link", "tmp/to_link", "to_parent/victim"})
    check_refused(in / path);
  CHECK(place.victim() == "old");
  CHECK(in.names() == Names{"tmp", "to_link", "to_parent", "victim"});
  CHECK_THROWS_WITH(check_writable(in / "tmp/report.json"),
                    ContainsSubstring("report.json is a link that user 1 has put where every user may") &&
                        ContainsSubstring("fs.protected_symlinks") && ContainsSubstring("EACCES"));
}

TEST_CASE("a link that is put there after the look is not followed", "[report]") {
  testing::require_root();
  Place place;
  auto path = place.directory / "tmp/report.json";
  check_writable(path);
  put_link("../victim", path, 1);
  CHECK(error_of([&] { write_atomically(path, "new"); }) == EACCES);
  CHECK(place.victim() == "old");
}

TEST_CASE("links that the kernel would follow are followed", "[report]") {
  testing::require_root();
  unsigned owner = 1;
  Place place(owner);
  const auto &in = place.directory;
  put_link("../own", in / "tmp/own", 0);
  put_link("../directorys", in / "tmp/directorys", owner);
  fs::create_directory(in / "open"); // each user may remove each name there: such a link protects nothing
  fs::permissions(in / "open", fs::perms(0777));
  put_link("../everyones", in / "open/everyones", 2);
  for (const char *path : {"tmp/own", "tmp/directorys", "open/everyones"}) {
    check_writable(in / path);
    write_atomically(in / path, path);
    CHECK(os::read_file(in / fs::path(path).filename()) == path);
    CHECK(fs::is_symlink(in / path));
  }
  testing::check_in_child([&] {
    fs::permissions(in.path(), fs::perms(0755));
    testing::become_ordinary_user();
    fs::create_symlink("target.json", in / "tmp/mine.json");
    write_atomically(in / "tmp/mine.json", "new");
    testing::expect_equal(os::read_file(in / "tmp/target.json"), "new", "the link's target");
  });
}

TEST_CASE("what takes the place of the file after the look is not opened", "[report]") {
  testing::check_in_child([] { // where it is ended if it waits for a FIFO's reader
    TemporaryDirectory directory;
    auto path = directory / "report.json";
    put(directory / "victim", "old");
    auto look_and_put = [&](int error, const std::function<void()> &other) {
      fs::remove(path);
      put(path, "report");
      auto found = find_destination(path);
      fs::remove(path);
      other();
      int swapped = 0;
      try {
        open_destination(found, O_WRONLY);
      } catch (const Swapped &e) {
        swapped = e.error();
      }
      testing::expect_equal(swapped, error, "the error");
    };
    look_and_put(ENOENT, [] {});
    look_and_put(ELOOP, [&] { fs::create_symlink("victim", path); });
    look_and_put(ESTALE, [&] { put(path, "another"); });
    look_and_put(ENXIO, [&] { testing::expect(::mkfifo(path.c_str(), 0600) == 0, "the FIFO is made"); });
    testing::expect_equal(os::read_file(directory / "victim"), "old", "what the link points to");
  });
}

TEST_CASE("a directory that was looked at stays the one that is written in", "[report]") {
  TemporaryDirectory directory;
  fs::create_directory(directory / "first");
  fs::create_directory(directory / "second");
  auto found = find_destination(directory / "first/report.json");
  fs::rename(directory / "first", directory / "moved");
  fs::create_directory_symlink("second", directory / "first");
  NewFile file(found.directory.get(), found.path);
  file.write("text");
  file.appear(found.name, NewFile::Occupied::is_replaced);
  CHECK(os::read_file(directory / "moved/report.json") == "text");
  CHECK(fs::is_empty(directory / "second"));
}

TEST_CASE("a path is read as the kernel reads it", "[report]") {
  TemporaryDirectory directory;
  fs::create_directory(directory / "sub");
  put(directory / "file", "text");
  fs::create_symlink(directory / "sub", directory / "absolute");
  fs::create_symlink("sub/", directory / "slash");
  fs::create_symlink("/proc/self/cwd", directory / "here");
  const std::vector<std::pair<std::string, int>> paths = {
      {"sub/", EISDIR},   {"sub/.", EISDIR},   {"sub/..", EISDIR},         {"absolute", EISDIR}, {"slash", EISDIR},
      {"file/", ENOTDIR}, {"file/.", ENOTDIR}, {"file/..", ENOTDIR},       {"missing/", ENOENT}, {"missing/..", ENOENT},
      {"here", EISDIR},   {"here/", EISDIR},   {"missing/../file", ENOENT}};
  for (const auto &[path, error] : paths) {
    CAPTURE(path);
    CHECK(error_of([&, p = path] { find_destination(directory / p); }) == error);
  }
  CHECK(error_of([] { find_destination("/"); }) == EISDIR);
  CHECK(error_of([] { find_destination("."); }) == EISDIR);
  CHECK(error_of([] { find_destination(std::string(5000, '/') + "tmp/report.json"); }) == ENAMETOOLONG);
  for (const char *path : {"sub//one", "absolute/./one", "slash/../sub/one", "absolute/../sub/one"}) {
    fs::remove(directory / "sub/one");
    write_atomically(directory / path, path);
    CHECK(os::read_file(directory / "sub/one") == path);
  }
  testing::check_in_child([&] {
    fs::current_path(directory.path());
    write_atomically("relative", "text");
    write_atomically("/proc/self/cwd/sub/two", "text");
    testing::expect(fs::exists("relative") && fs::exists("sub/two"), "both are there");
  });
}

TEST_CASE("forty links are followed, as by the kernel, and no more", "[report]") {
  TemporaryDirectory directory;
  put(directory / "0", "old");
  for (int i = 1; i <= 41; ++i)
    fs::create_symlink(std::to_string(i - 1), directory / std::to_string(i));
  check_writable(directory / "40");
  CHECK(error_of([&] { check_writable(directory / "41"); }) == ELOOP);
  struct stat info {};
  CHECK(::stat((directory / "40").c_str(), &info) == 0);
  CHECK(::stat((directory / "41").c_str(), &info) != 0);
}

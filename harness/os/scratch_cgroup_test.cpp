#include "harness/os/scratch_cgroup.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>

namespace {

using namespace pidleak;
using os::CgroupVersion;

// Captured, shortened to the lines that matter.
constexpr const char *v1_beside_empty_v2 =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
constexpr const char *v2_only = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - "
                                "cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char *docker_v1 = "99 90 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n";

} // namespace

TEST_CASE("a v1 controller is found beside a v2 mount that has none", "[cgroup]") {
  auto place = os::locate_cgroup(v1_beside_empty_v2, "8:pids:/\n4:memory:/a/b\n0::/\n", "memory");
  CHECK(place.version == CgroupVersion::v1);
  CHECK(place.parent == "/sys/fs/cgroup/memory/a/b");
  CHECK(os::locate_cgroup(v1_beside_empty_v2, "8:pids:/\n4:memory:/a/b\n0::/\n", "pids").parent ==
        "/sys/fs/cgroup/pids");
}

TEST_CASE("on v2 the own group is where the search starts", "[cgroup]") {
  auto place = os::locate_cgroup(v2_only, "0::/user.slice/user-0.slice/session-1.scope\n", "memory");
  CHECK(place.version == CgroupVersion::v2);
  CHECK(place.parent == "/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope");
}

TEST_CASE("in a container that sees only a part of the tree, paths are relative to that part", "[cgroup]") {
  CHECK(os::locate_cgroup(docker_v1, "4:memory:/docker/abc/x\n", "memory").parent == "/sys/fs/cgroup/memory/x");
  CHECK(os::locate_cgroup(docker_v1, "4:memory:/elsewhere\n", "memory").parent == "/sys/fs/cgroup/memory");
}

TEST_CASE("a mount point with a space in it is unescaped", "[cgroup]") {
  CHECK(os::locate_cgroup("1 2 0:3 / /a\\040b rw - cgroup2 cgroup2 rw\n", "0::/\n", "pids").parent == "/a b");
}

TEST_CASE("without a cgroup file system the place says what is missing", "[cgroup]") {
  for (const char *mountinfo : {"", "garbage", "1 2 - \n", "22 27 0:21 / /proc rw - proc proc rw\n"}) {
    auto place = os::locate_cgroup(mountinfo, "0::/\n", "memory");
    CHECK(place.parent.empty());
    CHECK(place.lacks ==
          "no cgroup file system with the memory controller is mounted. Mount cgroup2 on /sys/fs/cgroup");
  }
}

TEST_CASE("cgroups that are read-only are told with what makes them writable", "[cgroup]") {
  if (auto place = os::find_cgroup_place("pids"); place.parent.empty())
    SKIP(place.lacks);
  testing::check_in_child([] {
    testing::expect(::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
                    "mounts of its own");
    auto place = os::find_cgroup_place("pids");
    testing::expect(::mount(place.parent.c_str(), place.parent.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                        ::mount("none", place.parent.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0,
                    "a read-only mount");
    place = os::find_cgroup_place("pids");
    testing::expect(place.parent.empty() &&
                        place.lacks.find(" is read-only. As root, `mount -o remount,bind,rw ") != std::string::npos,
                    "it says: " + place.lacks);
  });
}

TEST_CASE("a value is found by its whole key", "[cgroup]") {
  CHECK(os::cgroup_value("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill") == 3);
  CHECK_FALSE(os::cgroup_value("oom 1\n", "oom_kill"));
  CHECK_FALSE(os::cgroup_value("oom_kill x\n", "oom_kill"));
}

TEST_CASE("a scratch cgroup ends who is in it and is gone afterwards", "[cgroup]") {
  auto place = os::find_cgroup_place("pids");
  if (place.parent.empty())
    SKIP(place.lacks);
  CHECK(testing::run_in_child([&] {
          std::string path;
          auto member = testing::plant();
          {
            auto group = os::ScratchCgroup::create(place.parent, os::cgroup_owner_prefix() + "-1");
            path = group.path();
            group.write("cgroup.procs", std::to_string(member.pid()));
            testing::expect_equal(group.members().size(), 1U, "members");
          }
          testing::expect(member.has_exited(), "the member was ended");
          testing::expect(!std::filesystem::exists(path), "the group was removed");
        }) == "");
}

TEST_CASE("a sweep removes the groups of a dead harness and leaves those of a live one", "[cgroup]") {
  auto place = os::find_cgroup_place("pids");
  if (place.parent.empty())
    SKIP(place.lacks);
  CHECK(testing::run_in_child([&] {
          auto live = os::ScratchCgroup::create(place.parent, os::cgroup_owner_prefix() + "-1");
          std::string dead_path;
          auto name = os::open_pipe();
          auto owner = testing::start([&] { // dies without tidying up
            auto prefix = os::cgroup_owner_prefix();
            std::filesystem::create_directory(place.parent + "/" + prefix + "-1");
            os::write_all(name.write_end.get(), prefix + "-1");
          });
          os::reap(owner);
          name.write_end.reset();
          for (char byte = 0; os::read_exactly(name.read_end.get(), &byte, 1);)
            dead_path += byte;
          dead_path = place.parent + "/" + dead_path;
          testing::expect(std::filesystem::exists(dead_path), "the dead owner left its group");
          os::sweep_stale_cgroups(place.parent);
          testing::expect(!std::filesystem::exists(dead_path), "it was swept");
          testing::expect(std::filesystem::exists(live.path()), "the live one's was not");
        }) == "");
}

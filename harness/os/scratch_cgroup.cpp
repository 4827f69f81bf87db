#include "harness/os/scratch_cgroup.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/syscall_error.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>

namespace pidleak::os {
namespace {

struct Mount {
  std::string root, point, type, super_options;
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == text.npos)
      return parts;
    text.remove_prefix(end + 1);
  }
}

/// `\040` and the like, proc_pid_mountinfo(5).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ptr == text.data() + i + 4) {
      plain += static_cast<char>(value);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::optional<Mount> parse_mount(std::string_view line) {
  auto words = split(line, ' ');
  auto dash = std::find(words.begin(), words.end(), "-");
  if (words.size() < 6 || words.end() - dash < 4)
    return {};
  return Mount{.root = unescape(words[3]), .point = unescape(words[4]), .type = dash[1], .super_options = dash[3]};
}

bool contains(const std::vector<std::string> &list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// The path in a mounted cgroup tree of the group that /proc/self/cgroup calls `group`.
std::string path_below(const Mount &mount, const std::string &group) {
  if (mount.root == "/")
    return group == "/" ? mount.point : mount.point + group;
  // Only a part of the tree is mounted (a container without a cgroup namespace).
  if (group == mount.root || group.starts_with(mount.root + "/"))
    return mount.point + group.substr(mount.root.size());
  return mount.point;
}

bool is_cgroup_filesystem(const std::string &path, CgroupVersion version) {
  struct statfs info {};
  return ::statfs(path.c_str(), &info) == 0 &&
         info.f_type == (version == CgroupVersion::v1 ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC);
}

std::string read_or_empty(const std::string &path) {
  try {
    return read_file(path);
  } catch (const SyscallError &) {
    return ""; // the group has gone, or the file is not there on this kernel: says nothing
  }
}

constexpr std::string_view name_start = "pidleak-";

} // namespace

CgroupPlace locate_cgroup(std::string_view mountinfo, std::string_view self_cgroup, std::string_view controller) {
  std::optional<Mount> v1, v2;
  for (const auto &line : split(mountinfo, '\n')) {
    auto mount = parse_mount(line);
    if (mount && mount->type == "cgroup2" && !v2)
      v2 = mount;
    if (mount && mount->type == "cgroup" && contains(split(mount->super_options, ','), controller))
      v1 = mount;
  }
  for (const auto &line : split(self_cgroup, '\n')) { // `4:memory:/path`, `0::/path`
    auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos)
      continue;
    auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    auto group = line.substr(second + 1);
    if (v1 && contains(controllers, controller))
      return {CgroupVersion::v1, path_below(*v1, group), ""};
    if (!v1 && v2 && line.starts_with("0::"))
      return {CgroupVersion::v2, path_below(*v2, group), ""};
  }
  return {CgroupVersion::v2, "",
          fmt::format("no cgroup file system with the {} controller is mounted. Mount cgroup2 on /sys/fs/cgroup",
                      controller)};
}

CgroupPlace find_cgroup_place(const std::string &controller) {
  auto place = locate_cgroup(read_or_empty("/proc/self/mountinfo"), read_or_empty("/proc/self/cgroup"), controller);
  if (place.parent.empty())
    return place;
  auto lacking = [&](std::string why) {
    place.parent.clear();
    place.lacks = std::move(why);
    return place;
  };
  if (!is_cgroup_filesystem(place.parent, place.version))
    return lacking(place.parent + " is not in a cgroup file system");
  auto is_writable = [](const std::string &dir) {
    return ::access(dir.c_str(), W_OK) == 0 && ::access((dir + "/cgroup.procs").c_str(), W_OK) == 0;
  };
  auto not_writable = [&](const std::string &dir) {
    if (::access(dir.c_str(), W_OK) != 0 && errno == EROFS)
      return lacking(fmt::format("{0} is read-only. As root, `mount -o remount,bind,rw {0}`, or give the container "
                                 "cgroups of its own that may be written",
                                 dir));
    return lacking(
        fmt::format("{} may not be written (user {}); root, or a delegated cgroup, is needed", dir, ::geteuid()));
  };
  if (place.version == CgroupVersion::v1)
    return is_writable(place.parent) ? place : not_writable(place.parent);
  // In v2 a group hands a controller to its children in cgroup.subtree_control, and, but for the root, holds no
  // processes then: so the nearest ancestor that hands it down, not the own group, is where siblings can be made.
  std::string handed_down_but_not_writable;
  for (auto dir = place.parent; is_cgroup_filesystem(dir, place.version);
       dir = std::filesystem::path(dir).parent_path().string()) {
    auto words = split(read_or_empty(dir + "/cgroup.subtree_control"), ' ');
    for (auto &word : words)
      word.erase(std::remove(word.begin(), word.end(), '\n'), word.end());
    if (contains(words, controller)) {
      if (is_writable(dir)) {
        place.parent = dir;
        return place;
      }
      handed_down_but_not_writable = dir;
    }
    if (dir == "/")
      break;
  }
  if (!handed_down_but_not_writable.empty())
    return not_writable(handed_down_but_not_writable);
  return lacking(fmt::format("no group from {0} upwards hands down the {1} controller. As root, `echo +{1} "
                             ">{0}/cgroup.subtree_control` does, if {0}/cgroup.controllers has it",
                             place.parent, controller));
}

ScratchCgroup ScratchCgroup::create(const std::string &parent, const std::string &name) {
  auto path = parent + "/" + name;
  if (::mkdir(path.c_str(), 0755) != 0)
    throw_errno("mkdir({})", path);
  return ScratchCgroup(path);
}

ScratchCgroup::~ScratchCgroup() {
  if (!path_.empty())
    remove_cgroup(path_, Deadline::after(std::chrono::seconds(1)));
}

void ScratchCgroup::write(const std::string &file, std::string_view text) const {
  write_file(path_ + "/" + file, text);
}
std::string ScratchCgroup::read(const std::string &file) const { return read_file(path_ + "/" + file); }
bool ScratchCgroup::has(const std::string &file) const { return ::access((path_ + "/" + file).c_str(), F_OK) == 0; }
std::vector<pid_t> ScratchCgroup::members() const { return parse_pid_list(read("cgroup.procs")); }

void enter_cgroup(const std::string &path) {
  // To move a process takes a lock that all forks of the machine take, and a grace period of RCU for it: some ms. A
  // thread that moves itself takes none (Linux 5.5). Version 2 moves no single thread from group to group.
  auto of_one_thread = path + "/tasks";
  bool v1 = ::access(of_one_thread.c_str(), W_OK) == 0;
  write_file(v1 ? of_one_thread : path + "/cgroup.procs", "0"); // 0: the writer itself
}

std::optional<std::uint64_t> cgroup_value(std::string_view text, std::string_view key) {
  for (const auto &line : split(text, '\n')) {
    auto words = split(line, ' ');
    std::uint64_t value = 0;
    if (words.size() == 2 && words[0] == key &&
        std::from_chars(words[1].data(), words[1].data() + words[1].size(), value).ec == std::errc())
      return value;
  }
  return {};
}

bool remove_cgroup(const std::string &path, Deadline deadline) {
  Backoff backoff;
  for (;;) {
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator(path, ignored))
      if (entry.is_directory(ignored))
        remove_cgroup(entry.path().string(), deadline);
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT)
      return true;
    if (errno != EBUSY || deadline.passed()) // EBUSY: a process is still in it, or about to leave
      return false;
    std::vector<ProcessRef> dying;
    std::vector<int> pidfds;
    for (pid_t pid : parse_pid_list(read_or_empty(path + "/cgroup.procs"))) {
      auto member = pid > 0 ? ProcessRef::open(pid) : std::nullopt;
      // Still listed after the pidfd was opened: it is the one.
      auto listed = parse_pid_list(read_or_empty(path + "/cgroup.procs"));
      if (member && std::find(listed.begin(), listed.end(), pid) != listed.end()) {
        member->send(SIGKILL);
        pidfds.push_back(member->pidfd());
        dying.push_back(std::move(*member));
      }
    }
    wait_for_any_exit(pidfds, backoff.next());
  }
}

std::string cgroup_owner_prefix() {
  struct stat pid_namespace {};
  if (::stat("/proc/self/ns/pid", &pid_namespace) != 0)
    throw_errno("stat(/proc/self/ns/pid)");
  auto self = read_stat(::getpid());
  return fmt::format("{}{}-{}-{}", name_start, pid_namespace.st_ino, ::getpid(), self ? self->start_ticks : 0);
}

int sweep_stale_cgroups(const std::string &parent) {
  int swept = 0;
  auto mine = split(cgroup_owner_prefix(), '-');
  std::error_code ignored;
  for (const auto &entry : std::filesystem::directory_iterator(parent, ignored)) {
    auto name = split(entry.path().filename().string(), '-'); // pidleak, namespace, pid, start, number
    if (name.size() != 5 || name[0] != mine[0] || name[1] != mine[1])
      continue;
    auto owner = parse_pid_list(name[2]);
    auto stat = owner.size() == 1 ? read_stat(owner[0]) : std::nullopt;
    if (owner.size() == 1 && (!stat || std::to_string(stat->start_ticks) != name[3]))
      swept += remove_cgroup(entry.path().string(), Deadline::after(std::chrono::seconds(1)));
  }
  return swept;
}

} // namespace pidleak::os

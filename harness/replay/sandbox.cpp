#include "harness/replay/sandbox.hpp"

#include "harness/base/spelling.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/patience.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/sources.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <random>

namespace pidleak::replay {

using reports::Tier;

namespace {

/// Under TMPDIR, for where no filesystem can be mounted: it is not there yet, and its name can't be foretold.
std::string new_scratch_directory() {
  const char *where = std::getenv("TMPDIR");
  std::random_device random;
  return fmt::format("{}/pidleak-{:08x}{:08x}", where && *where ? where : "/tmp", random(), random());
}

SandboxNames plan_names(const SandboxOptions &options) {
  static int sandboxes = 0;
  SandboxNames plan{.base_name = fmt::format("{}-{}", os::cgroup_owner_prefix(), ++sandboxes)};
  if (options.tier == Tier::subreaper)
    plan.scratch = new_scratch_directory();
  const auto &facilities = options.facilities;
  if (options.tier == Tier::namespace_cgroup)
    plan.cgroups.push_back(facilities.pids.parent + "/" + plan.base_name);
  if (options.memory_cgroup && !facilities.memory.parent.empty())
    plan.cgroups.push_back(facilities.memory.parent + "/" + plan.base_name);
  auto &paths = plan.cgroups;
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end()); // both on v2, with the same parent
  return plan;
}

void remove_scratch(const SandboxNames &names) {
  std::error_code ignored;
  if (!names.scratch.empty())
    std::filesystem::remove_all(names.scratch, ignored);
}

/// The warden: makes what the sandbox needs, forks its init, outlives it, cleans up.
class Warden {
public:
  Warden(const SandboxOptions &options, const SandboxNames &names, Clock::time_point since, int lifeline, int turn,
         int result)
      : options_(options), names_(names), lifeline_(lifeline), turn_(turn), result_(result) {
    inside_.since = since;
    inside_.turn = turn;
  }

  [[noreturn]] void run(const std::function<std::string(const Inside &)> &body) {
    int status = 0;
    try {
      make_cgroups();
      auto init = fork_init(body);
      os::UniqueFd::adopt(result_); // closes: the pipe's end is the init's alone
      status = watch(init);
    } catch (const std::exception &e) {
      std::fprintf(stderr, "pidleak: the sandbox could not be set up: %s\n", e.what());
      status = 1;
    }
    clean_up();
    ::_exit(status);
  }

private:
  void make_cgroups() {
    const auto &pids = options_.facilities.pids, &memory = options_.facilities.memory;
    inside_.tier = options_.tier;
    inside_.notes = options_.facilities.notes;
    inside_.memory_lacks = memory.lacks;
    bool wants_memory = options_.memory_cgroup && !memory.parent.empty();
    if (options_.tier == Tier::namespace_cgroup) {
      groups_.push_back(os::ScratchCgroup::create(pids.parent, names_.base_name));
      const auto &base = groups_.back();
      base.write("pids.max", std::to_string(options_.process_cap));
      inside_.census_cgroup = base.path();
      init_group_ = base.path();
      if (pids.version == os::CgroupVersion::v2) {
        // A v2 group that hands down the memory controller holds no process itself (cgroups(7)): one level more.
        bool same_tree = wants_memory && memory.parent == pids.parent;
        if (same_tree)
          base.write("cgroup.subtree_control", "+memory");
        init_group_ = make_directory(base.path() + "/rest");
        if (same_tree) {
          inside_.memory_cgroup = make_directory(base.path() + "/victim");
          inside_.memory_version = memory.version;
          wants_memory = false;
        }
      }
    }
    if (wants_memory) {
      groups_.push_back(os::ScratchCgroup::create(memory.parent, names_.base_name));
      inside_.memory_cgroup = groups_.back().path();
      inside_.memory_version = memory.version;
    }
  }

  static std::string make_directory(const std::string &path) {
    std::filesystem::create_directory(path);
    return path;
  }

  os::ProcessRef fork_init(const std::function<std::string(const Inside &)> &body) {
    bool with_namespace = options_.tier != Tier::subreaper;
    if (with_namespace) {
      outer_proc_ = os::UniqueFd::adopt(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
      inside_.outer_proc = outer_proc_.get();
      os::unshare_for_init(options_.facilities.user_namespace ? os::NamespaceKind::with_user_namespace
                                                              : os::NamespaceKind::privileged);
    } else {
      os::become_subreaper();
      make_scratch_directory();
    }
    own_lifeline_ = os::open_pipe();
    pid_t pid = ::fork();
    if (pid < 0)
      os::throw_errno("fork() of the sandbox's init");
    if (pid == 0)
      be_init(with_namespace, body);
    own_lifeline_.read_end.reset();
    auto init = os::ProcessRef::open(pid);
    if (!init)
      throw std::runtime_error("the sandbox's init vanished");
    return std::move(*init);
  }

  void make_scratch_directory() {
    if (::mkdir(names_.scratch.c_str(), 0700) != 0)
      os::throw_errno("mkdir({})", names_.scratch);
    inside_.scratch = names_.scratch;
  }

  [[noreturn]] void be_init(bool with_namespace, const std::function<std::string(const Inside &)> &body) {
    try {
      if (with_namespace) // all in it end with it. Else it hears that its lifeline is cut, and ends them
        os::die_with_parent();
      os::UniqueFd::adopt(lifeline_); // the harness's is the warden's to watch
      own_lifeline_.write_end.reset();
      inside_.lifeline = own_lifeline_.read_end.get();
      if (with_namespace) {
        os::mount_private_filesystems();
        inside_.scratch = make_directory("/dev/shm/pidleak");
        inside_.boundary.own_shared_memory = true;
        cap_processes_of_user_namespace();
        if (options_.own_network)
          take_own_network();
      } else {
        os::become_subreaper();
      }
      if (auto why = os::why_blind(); !why.empty())
        throw std::runtime_error(why);
      if (!init_group_.empty())
        os::enter_cgroup(init_group_);
      auto boundary = census::inherited();
      inside_.boundary.outside = std::move(boundary.outside);
      inside_.boundary.scratch = inside_.scratch;
      if (os::read_alarms() != os::Alarms::none) // else the machine's list will do, at no cost
        inside_.boundary.alarms = os::AlarmWatch::start();
      // What the pool makes there goes with the sandbox, and its sockets are out of reach for all other processes.
      ::setenv("TMPDIR", make_directory(inside_.scratch + "/tmp").c_str(), 1);
      os::write_all(result_, body(inside_));
      leave(0);
    } catch (const std::exception &e) {
      std::fprintf(stderr, "pidleak: in the sandbox: %s\n", e.what());
      leave(1);
    } catch (...) { // the lifeline was cut: the result has no reader
      leave(1);
    }
  }

  [[noreturn]] static void leave(int status) {
    os::end_all_children(Deadline::after(os::end_bound));
    ::_exit(status);
  }

  /// Without one servers share the machine's ports: only one replay at a time has a chance then.
  void take_own_network() {
    try {
      os::unshare_network_and_ipc();
      inside_.own_network = true;
    } catch (const os::SyscallError &e) {
      inside_.notes.push_back(fmt::format("no network of its own: {}", e.what()));
    }
  }

  /// Where there is no cgroup: RLIMIT_NPROC, which Linux 5.14 and later count a user namespace apart.
  void cap_processes_of_user_namespace() {
    if (!options_.facilities.user_namespace || !init_group_.empty())
      return;
    auto cap = static_cast<rlim_t>(options_.process_cap);
    rlimit limit{.rlim_cur = cap, .rlim_max = cap};
    if (::setrlimit(RLIMIT_NPROC, &limit) != 0 && errno != EPERM) // EPERM: a lower one is in force already
      os::throw_errno("setrlimit(RLIMIT_NPROC, {})", options_.process_cap);
  }

  /// Until init ends, the harness dies, or the time is over.
  int watch(const os::ProcessRef &init) {
    pollfd events[] = {{.fd = lifeline_, .events = POLLIN, .revents = 0},
                       {.fd = init.pidfd(), .events = POLLIN, .revents = 0},
                       {.fd = turn_, .events = POLLIN, .revents = 0}};
    auto wait = [&](const std::function<int()> &left_ms) { // false: no time is left
      for (;;) {
        int ready = ::poll(events, std::size(events), left_ms());
        if (ready < 0 && errno != EINTR)
          os::throw_errno("poll(lifeline, init, turn)");
        if (ready > 0 || (ready == 0 && left_ms() == 0))
          return ready > 0;
      }
    };
    if (turn_ >= 0) { // nothing happens before
      wait([] { return -1; });
      events[2] = {.fd = -1, .events = 0, .revents = 0};
    }
    auto deadline = os::Patience::of(options_.bound);
    if (!wait([&] { return deadline.left_ms(); }))
      std::fprintf(stderr, "pidleak: a replay took longer than %lld ms and was ended\n",
                   static_cast<long long>(options_.bound.count()));
    if (!events[1].revents)
      init.send(SIGKILL);
    auto status = os::reap(init);
    return status.signaled ? 1 : status.value;
  }

  void clean_up() {
    os::end_all_children(Deadline::after(os::end_bound)); // in the subreaper tier: what init left
    groups_.clear();
    remove_scratch(names_);
  }

  const SandboxOptions &options_;
  const SandboxNames &names_;
  int lifeline_, turn_, result_;
  Inside inside_;
  std::string init_group_;
  std::vector<os::ScratchCgroup> groups_;
  os::UniqueFd outer_proc_;
  os::Pipe own_lifeline_;
};

/// A forked warden must not hold other sandboxes' lifelines: closes all but standard error and `keep`.
void close_all_but(std::vector<int> keep) {
  std::erase(keep, -1); // there is none
  std::sort(keep.begin(), keep.end());
  unsigned next = 3;
  for (int fd : keep) {
    if (static_cast<unsigned>(fd) > next)
      ::close_range(next, static_cast<unsigned>(fd) - 1, 0); // Linux 5.9
    next = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(next, ~0U, 0);
  int null = ::open("/dev/null", O_RDWR); // so that no pipeline waits for a warden
  ::dup2(null, 0);
  ::dup2(null, 1);
  ::close(null);
}

constexpr std::string_view end_of_result = "\nend of result\n";

} // namespace

Facilities find_facilities() {
  Facilities found{.pids = os::find_cgroup_place("pids"), .memory = os::find_cgroup_place("memory")};
  auto why = os::why_no_namespace(os::NamespaceKind::privileged);
  if (!why.empty()) {
    found.user_namespace = true;
    auto why_with_user = os::why_no_namespace(os::NamespaceKind::with_user_namespace);
    if (!why_with_user.empty()) {
      found.notes.push_back("no PID namespace: " + why);
      found.notes.push_back("no user namespace either: " + why_with_user);
      return found;
    }
  }
  found.strongest = Tier::namespace_;
  if (found.pids.parent.empty())
    found.notes.push_back("no cgroup to cap and cross-check: " + found.pids.lacks);
  else
    found.strongest = Tier::namespace_cgroup;
  return found;
}

census::TreeOptions tree_of(const Inside &inside, pid_t subject) {
  census::TreeOptions options{.scope = {.root = ::getpid(), .proc_lists_all = inside.tier != Tier::subreaper},
                              .subject = subject,
                              .boundary = inside.boundary,
                              .outer_proc = inside.outer_proc,
                              .cgroups = {}};
  if (!inside.census_cgroup.empty())
    for (const char *group : {"", "/rest", "/victim"})
      options.cgroups.push_back(inside.census_cgroup + group);
  return options;
}

Sandbox Sandbox::start(const SandboxOptions &options, const std::function<std::string(const Inside &)> &body) {
  auto since = Clock::now();
  auto lifeline = os::open_pipe();
  auto result = os::open_pipe();
  auto turn = options.waits_for_turn ? os::open_pipe() : os::Pipe();
  auto names = plan_names(options);
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork() of a warden");
  if (pid == 0) {
    ::setpgid(0, 0); // a Ctrl-C is the harness's; the warden acts when the harness has gone
    os::reset_all_signals();
    os::ignore_sigpipe();
    close_all_but({lifeline.read_end.get(), turn.read_end.get(), result.write_end.get()});
    Warden(options, names, since, lifeline.read_end.get(), turn.read_end.get(), result.write_end.get())
        .run([&](const Inside &inside) { return body(inside) + std::string(end_of_result); });
  }
  auto warden = os::ProcessRef::open(pid);
  if (!warden)
    throw std::runtime_error("the sandbox's warden vanished");
  os::set_nonblocking(result.read_end.get());
  return Sandbox(std::move(*warden), std::move(lifeline.write_end), std::move(turn.write_end),
                 std::move(result.read_end), std::move(names));
}

Sandbox::~Sandbox() {
  if (!lifeline_) // moved from
    return;
  try {
    finish();
  } catch (const std::exception &) { // bounded and best effort: a destructor can't report
  }
}

bool Sandbox::collect() {
  char buffer[65536];
  while (!finished_) {
    ssize_t got = ::read(result_.get(), buffer, sizeof buffer);
    if (got > 0)
      bytes_.append(buffer, static_cast<std::size_t>(got));
    else if (got < 0 && errno == EAGAIN)
      return false;
    else if (got == 0)
      finish();
    else if (errno != EINTR)
      os::throw_errno("read(result of a sandbox)");
  }
  return true;
}

bool Sandbox::has_result() const { return bytes_.ends_with(end_of_result); }

std::optional<std::string> Sandbox::result() const {
  if (!has_result())
    return {};
  return bytes_.substr(0, bytes_.size() - end_of_result.size());
}

void Sandbox::finish() {
  if (std::exchange(finished_, true))
    return;
  lifeline_.reset();
  auto status = os::reap(warden_, Deadline::after(std::chrono::seconds(20)));
  if (!status) {
    warden_.send(SIGKILL);
    status = os::reap(warden_);
  }
  if (*status != os::WaitStatus{})
    failure_ = "the sandbox's warden " + status->text();
  if (!status->signaled)
    return;
  for (const auto &path : names_.cgroups) // then it did not clean up
    os::remove_cgroup(path, Deadline::after(os::end_bound));
  remove_scratch(names_);
}

} // namespace pidleak::replay

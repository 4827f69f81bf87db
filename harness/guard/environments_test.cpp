// Guard where users run it: in containers and sandboxes that mask and hide, with few descriptors, as an ordinary user.
// Each environment is tried as root and as an ordinary user. In each the outcome is right, or guard refuses before it
// has run anything; and a stranger in the same process group lives on.
#include "harness/guard/guard_test_support.hpp"
#include "scenarios/cases.hpp"

#include <sys/syscall.h>

#include <map>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool is_sanitized = true; // its programs map terabytes
#else
constexpr bool is_sanitized = false;
#endif

enum class Expect { right, refused, right_or_refused };

struct Environment {
  const char *name;
  Expect expect = Expect::right;
  /// A shell's words that make it as root, and end by running "$@" in it.
  std::string make = "exec \"$@\"";
  /// And its own, of the shell that calls guard: limits and streams.
  std::string limits = "";
  std::function<void()> in_child = {}; // before the first exec
  bool unsanitized_only = false;
  std::string guard = "\"$G\""; // how guard is called
};

const std::string private_mounts = "exec unshare -m sh -c 'mount --make-rprivate / && ";
const std::string private_pids = "exec unshare -m -p -f sh -c 'mount --make-rprivate / && ";
const std::string then_run = " && exec \"$@\"' sh \"$@\"";

/// As container engines do by default: OCI's maskedPaths and readonlyPaths.
const std::string mask_paths =
    "for f in timer_list keys kcore latency_stats timer_stats sched_debug interrupts; do"
    " [ ! -e /proc/$f ] || mount --bind /dev/null /proc/$f; done;"
    " for d in acpi asound scsi; do [ ! -d /proc/$d ] || mount -t tmpfs -o ro,size=0 none /proc/$d; done;"
    " for p in bus fs irq sys sysrq-trigger; do [ ! -e /proc/$p ] ||"
    " { mount --bind /proc/$p /proc/$p && mount -o remount,bind,ro /proc/$p; }; done;"
    " mount -t tmpfs -o ro,size=0 none /sys/firmware";

std::vector<Environment> environments() {
  std::vector<Environment> all = {
      {.name = "as it is"},
      {.name = "the /proc of another PID namespace", .expect = Expect::refused, .make = "exec unshare -p -f \"$@\""},
      {.name = "no /proc", .expect = Expect::refused, .make = private_mounts + "mount -t tmpfs none /proc" + then_run},
      {.name = "paths masked as container engines do", .make = private_mounts + mask_paths + then_run},
      {.name = "hidepid=2", .make = private_pids + "mount -t proc -o hidepid=2 proc /proc" + then_run},
      {.name = "a read-only proc", .make = private_pids + "mount -t proc -o ro proc /proc" + then_run},
      {.name = "a proc of processes alone", .make = private_pids + "mount -t proc -o subset=pid proc /proc" + then_run},
      {.name = "a read-only sysfs", .make = private_mounts + "mount -t tmpfs -o ro,size=0 none /sys" + then_run},
      {.name = "a full directory for temporary files",
       .make = private_mounts + "mount -t tmpfs -o size=4k none /var/tmp && head -c 9000 /dev/zero >/var/tmp/full 2>&-;"
                                " TMPDIR=/var/tmp exec \"$@\"' sh \"$@\""},
      {.name = "16 descriptors", .limits = "ulimit -n 16;"},
      {.name = "64 descriptors", .limits = "ulimit -n 64;"},
      {.name = "256 descriptors", .limits = "ulimit -n 256;"},
      {.name = "closed standard input", .limits = "exec <&-;"},
      {.name = "little memory",
       .expect = Expect::right_or_refused,
       .limits = "ulimit -v 60000;",
       .unsanitized_only = true},
      {.name = "hardly any memory",
       .expect = Expect::right_or_refused,
       .limits = "ulimit -v 12000;",
       .unsanitized_only = true},
      {.name = "guard as the init of a PID namespace", .guard = "unshare --map-root-user -p -f --mount-proc \"$G\""},
  };
  const std::map<const char *, std::pair<long, Expect>> calls = {
      {"pidfd_open", {SYS_pidfd_open, Expect::refused}},
      {"pidfd_send_signal", {SYS_pidfd_send_signal, Expect::refused}},
      {"waitid", {SYS_waitid, Expect::refused}},
      {"signalfd", {SYS_signalfd4, Expect::refused}},
      {"pidfd_getfd", {SYS_pidfd_getfd, Expect::right}},
      {"process_vm_readv", {SYS_process_vm_readv, Expect::right}},
      {"clone3", {SYS_clone3, Expect::right}},
      {"socketpair", {SYS_socketpair, Expect::right}},
      {"ptrace", {SYS_ptrace, Expect::right}},
  };
  for (const auto &[call, what] : calls)
    for (int error : {EPERM, ENOSYS}) {
      static std::vector<std::unique_ptr<std::string>> names;
      names.push_back(std::make_unique<std::string>(
          fmt::format("a filter that answers {} with {}", call, error == EPERM ? "EPERM" : "ENOSYS")));
      all.push_back({.name = names.back()->c_str(), .expect = what.second, .in_child = [number = what.first, error] {
                       deny(number, error);
                     }});
    }
  return all;
}

/// What is tried in each: a line for each with its name and what came of it.
const std::string trial = R"sh(
cd "$D"
sleep 1000 >/dev/null 2>&1 & stranger=$!
try() { # NAME OPTIONS -- COMMAND
  name=$1; shift
  GUARD guard "$@" >"$name.out" 2>"$name.err"
  echo "$name status $?"
}
try clean -- sh -c 'echo run; exit 3' & jobs=$!
try leak -- sh -c 'sleep 600 >/dev/null 2>&1 & echo $!; exit 0' & jobs="$jobs $!"
try leak-options --grace 0.3 -- sh -c 'sleep 600 >/dev/null 2>&1 & echo $!; exit 0' & jobs="$jobs $!"
try alarm --grace 20 -- sh -c 'perl -e "alarm 1; sleep" >/dev/null 2>&1 & echo run; exit 0' & jobs="$jobs $!"
wait $jobs
for name in leak leak-options; do
  left=$(cat $name.out)
  [ -z "$left" ] || [ "$left" = 1 ] || { kill -0 "$left" 2>/dev/null && [ $ENTERED = no ] && echo "$name lives on"; }
done
echo "bytes $({ GUARD guard --grace 20 -- sh -c 'head -c 1000000 /dev/zero & exit 0' 2>/dev/null; } | { sleep 0.2; wc -c; })"
kill -0 $stranger && echo "stranger lives"
kill $stranger
wait $stranger 2>/dev/null
for name in clean leak leak-options alarm; do
  [ ! -s $name.err ] || sed "s/^/$name err /" $name.err
  grep -q . $name.out && echo "$name was run"
done
exit 0
)sh";

/// A trial that runs.
struct Trial {
  os::ProcessRef process;
  os::Pipe out;
};

Trial start_trial(const Environment &environment, bool as_root, const Scratch &scratch) {
  auto directory = scratch / "programs", place = scratch / "place";
  std::filesystem::permissions(scratch / "", std::filesystem::perms(0755));
  for (const auto &made : {directory, place})
    std::filesystem::create_directory(made);
  std::filesystem::permissions(place, std::filesystem::perms(0777));
  for (const char *program : {"pidleak", "pidleak-cli"})
    std::filesystem::copy_file(PIDLEAK_BINARY_DIR "/" + std::string(program), directory + "/" + program);
  auto script = trial;
  for (auto at = script.find("GUARD"); at != std::string::npos; at = script.find("GUARD"))
    script.replace(at, 5, environment.guard);
  bool enters = environment.guard.find("unshare") != std::string::npos;
  scratch.write("trial", environment.limits +
                             fmt::format("G={}/pidleak; D={}; ENTERED={};", directory, place, enters ? "yes" : "no") +
                             script);
  std::string as_user = as_root ? "" : "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  auto out = os::open_pipe();
  auto child = start([&] {
    if (environment.in_child)
      environment.in_child();
    ::dup2(out.write_end.get(), 1);
    ::dup2(out.write_end.get(), 2);
    auto make = environment.make;
    auto words = "set -- " + as_user + "sh " + scratch / "trial" + "; " + make;
    ::execl("/bin/sh", "sh", "-c", words.c_str(), nullptr);
    ::_exit(127);
  });
  out.write_end.reset();
  return {.process = std::move(child), .out = std::move(out)};
}

/// The lines that it says.
std::string finish(const Trial &running) {
  std::string text;
  char buffer[4096];
  auto deadline = Deadline::after(std::chrono::seconds(60));
  for (ssize_t got = 1; got > 0;) {
    pollfd readable{.fd = running.out.read_end.get(), .events = POLLIN, .revents = 0};
    expect(::poll(&readable, 1, deadline.left_ms()) > 0, "the trial comes to its end; it said " + text);
    got = ::read(readable.fd, buffer, sizeof buffer);
    text.append(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  auto status = os::reap(running.process, deadline);
  expect(status == os::WaitStatus{}, "the trial ends well; it said " + text);
  return text;
}

void expect_outcome(const std::string &text, const Environment &environment) {
  auto says = [&](const std::string &line) { return ("\n" + text).find("\n" + line + "\n") != std::string::npos; };
  auto is_told = [&](const std::string &name, const std::string &what) {
    auto at = text.find(name + " err ");
    return at != std::string::npos && text.find(what, at) != std::string::npos;
  };
  struct Row {
    const char *name;
    int right;
  };
  for (const auto &row : {Row{"clean", 3}, Row{"leak", 23}, Row{"leak-options", 23}, Row{"alarm", 0}}) {
    bool right = says(fmt::format("{} status {}", row.name, row.right)) &&
                 (row.right != 23 || is_told(row.name, "outlived the command"));
    bool refused = !says(fmt::format("{} status {}", row.name, row.right)) &&
                   !says(fmt::format("{} status 0", row.name)) &&
                   text.find(fmt::format("{} err ", row.name)) != text.npos &&
                   (environment.expect == Expect::right_or_refused || !says(fmt::format("{} was run", row.name)));
    bool as_expected = environment.expect == Expect::right     ? right
                       : environment.expect == Expect::refused ? refused
                                                               : right || refused;
    expect(as_expected, fmt::format("{} is as it must be:\n{}", row.name, text));
    expect(!says(fmt::format("{} lives on", row.name)), "what is left is ended:\n" + text);
  }
  expect(says("stranger lives"), "the stranger is spared:\n" + text);
  if (environment.expect == Expect::right)
    expect(says("bytes 1000000"), "a slow reader gets every byte:\n" + text);
}

void check_environment(const Environment &environment) {
  Scratch of_root, of_user;
  auto as_root = start_trial(environment, true, of_root), as_user = start_trial(environment, false, of_user);
  expect_outcome("as root:\n" + finish(as_root), environment);
  expect_outcome("as an ordinary user:\n" + finish(as_user), environment);
  expect(os::reap_exited_children(), "no process is left");
}

const bool environments_added = [] {
  for (const auto &environment : environments())
    cases::add(fmt::format("guard in an environment: {}", environment.name), {"guard", "guard-environment"}, [=] {
      if (::geteuid() != 0)
        SKIP("making environments is for root");
      if (is_sanitized && environment.unsanitized_only)
        SKIP("the sanitizers need more memory than that");
      for (const char *program : {"unshare", "setpriv", "perl"})
        if (os::find_on_path(program).empty())
          SKIP("this machine has no " << program);
      CHECK(run_in_child([&] { check_environment(environment); }, std::chrono::seconds(90)) == "");
    });
  return true;
}();

} // namespace

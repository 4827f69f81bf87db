#include "harness/os/procfs.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/syscall.h>

#include <algorithm>

using namespace pidleak;
using namespace pidleak::os;
using namespace std::string_view_literals;

namespace {

// Captured on Linux 6.18, without the lines of status that no code reads. This process was renamed to
// `) (\nx) S 1`, ignored SIGTERM, caught SIGUSR1, had SIGUSR2 blocked and pending, and read an empty
// pipe.
constexpr auto stat_of_reader =
    "11726 () (\nx) S 1) S 11685 11679 3816 0 -1 4194368 317 0 0 0 0 0 0 0 20 0 1 0 522894 17309696 "
    "2726 "
    "18446744073709551615 94196012802048 94196012802389 140728563093136 0 0 0 2048 16797696 514 1 0 0 "
    "17 1 0 0 0 0 0 "
    "94196012813744 94196012814360 94196211531776 140728563099799 140728563099847 140728563099847 140728563101647 0\n"sv;
constexpr auto status_of_reader =
    "Name:\t) (\\nx) S 1\nUmask:\t0022\nState:\tS "
    "(sleeping)\nTgid:\t11726\nNgid:\t0\nPid:\t11726\nPPid:\t11685\n"
    "Groups:\t \nNStgid:\t11726\nNSpid:\t11726\nVmPeak:\t   16904 kB\nThreads:\t1\nSigQ:\t1/96365\n"
    "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000800\nSigBlk:\t0000000000000800\n"
    "SigIgn:\t0000000001005000\nSigCgt:\t0000000000000202\nCapInh:\t0000000000000000\nSeccomp:\t0\n"
    "Speculation_Store_Bypass:\tvulnerable\nCpus_allowed_list:\t0-1\nMems_allowed:\t00000000,00000001\n"
    "voluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t0\n"sv;
constexpr auto syscall_of_reader = "0 0x3 0x7f2bcf21bda0 0x1 0x7f2bcf1d7720 0x0 0x0 0x7ffdec034888 0x7f2bcf9162ad\n"sv;

// The same process, killed and not reaped.
constexpr auto stat_of_zombie = "11726 () (\nx) S 1) Z 11685 11679 3816 0 -1 4228172 317 0 0 0 0 0 0 0 "
                                "20 0 1 0 522894 0 0 18446744073709551615 "
                                "0 0 0 0 0 0 2048 16797696 514 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9\n"sv;
constexpr auto status_of_zombie = "Name:\t) (\\nx) S 1\nState:\tZ (zombie)\nTgid:\t11726\nNSpid:\t11726\nThreads:\t1\n"
                                  "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000900\nSigBlk:\t0000000000000800\n"
                                  "SigIgn:\t0000000001005000\nSigCgt:\t0000000000000202\n"
                                  "voluntary_ctxt_switches:\t2\nnonvoluntary_ctxt_switches:\t0\n"sv;
constexpr auto syscall_of_zombie = "-1 0x0 0x0\n"sv;

} // namespace

TEST_CASE("a stat line is read after the last parenthesis, whatever the comm holds", "[procfs]") {
  auto stat = parse_stat(stat_of_reader);
  REQUIRE(stat);
  CHECK(stat->pid == 11726);
  CHECK(stat->comm == ") (\nx) S 1");
  CHECK(stat->state == 'S');
  CHECK(stat->parent == 11685);
  CHECK(stat->process_group == 11679);
  CHECK(stat->session == 3816);
  CHECK(stat->threads == 1);
  CHECK(stat->start_ticks == 522894);
  CHECK(stat->exit_code == 0);
}

TEST_CASE("the stat line of a zombie tells what killed it", "[procfs]") {
  auto stat = parse_stat(stat_of_zombie);
  REQUIRE(stat);
  CHECK(stat->state == 'Z');
  CHECK(stat->exit_code == 9);
}

TEST_CASE("a stat line before Linux 3.5 has no exit code and is read nevertheless", "[procfs]") {
  auto stat = parse_stat("5 (sh) S 1 5 5 0 -1 4194368 61 0 0 0 0 0 0 0 20 0 1 0 99 17670144");
  REQUIRE(stat);
  CHECK(stat->start_ticks == 99);
  CHECK(stat->exit_code == 0);
}

TEST_CASE("a stat line cut off anywhere before the start time is nothing", "[procfs]") {
  auto end_of_start_time = stat_of_reader.find(" 522894") + " 522894"sv.size();
  for (std::size_t size = 0; size + 6 < end_of_start_time; ++size) {
    CAPTURE(size);
    CHECK_FALSE(parse_stat(stat_of_reader.substr(0, size)));
  }
  CHECK(parse_stat(stat_of_reader.substr(0, end_of_start_time)));
}

TEST_CASE("text that is no stat line is nothing", "[procfs]") {
  for (auto text :
       {""sv, "\n"sv, "()"sv, ")("sv, "1 () "sv, "no such process"sv,
        "x (sh) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99"sv, "5 (sh) SS 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99"sv,
        "5 (sh) S one 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99"sv, "5 (sh) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 -99"sv,
        "99999999999 (sh) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99"sv}) {
    CAPTURE(text);
    CHECK_FALSE(parse_stat(text));
  }
}

TEST_CASE("the signal sets in status tell what a process does with each signal", "[procfs]") {
  auto status = parse_status(status_of_reader);
  REQUIRE(status);
  CHECK(action_of(*status, SIGTERM) == SignalAction::ignored);
  CHECK(action_of(*status, SIGUSR1) == SignalAction::handler);
  CHECK(action_of(*status, SIGUSR2) == SignalAction::blocked);
  CHECK(action_of(*status, SIGINT) == SignalAction::handler);
  CHECK(action_of(*status, SIGHUP) == SignalAction::default_);
  CHECK(status->thread_pending.empty());
  CHECK(status->shared_pending.contains(SIGUSR2));
  CHECK(status->voluntary_switches == 1);
  CHECK(status->involuntary_switches == 0);
  CHECK(status->namespace_pids == std::vector<pid_t>{11726});
}

TEST_CASE("blocked comes before ignored and caught", "[procfs]") {
  ProcStatus status;
  status.blocked = status.ignored = status.caught = SignalMask(1ULL << (SIGTERM - 1));
  CHECK(action_of(status, SIGTERM) == SignalAction::blocked);
}

TEST_CASE("the status of a zombie keeps the signal that killed it as pending", "[procfs]") {
  auto status = parse_status(status_of_zombie);
  REQUIRE(status);
  CHECK(status->shared_pending.contains(SIGKILL));
  CHECK(action_of(*status, SIGTERM) == SignalAction::ignored);
}

TEST_CASE("a status without all of the signal lines is nothing, not empty sets", "[procfs]") {
  for (auto line : {"SigPnd:"sv, "ShdPnd:"sv, "SigBlk:"sv, "SigIgn:"sv, "SigCgt:"sv}) {
    CAPTURE(line);
    CHECK_FALSE(parse_status(status_of_reader.substr(0, status_of_reader.find(line))));
  }
}

TEST_CASE("a process in nested PID namespaces has all of its pids, the outermost first", "[procfs]") {
  std::string text(status_of_reader);
  text.replace(text.find("NSpid:\t11726"), 12, "NSpid:\t11726\t7\t1");
  auto status = parse_status(text);
  REQUIRE(status);
  CHECK(status->namespace_pids == std::vector<pid_t>{11726, 7, 1});
}

TEST_CASE("text that is no status is nothing", "[procfs]") {
  CHECK_FALSE(parse_status(""));
  CHECK_FALSE(parse_status("\n\n"));
  CHECK_FALSE(parse_status("SigPnd 0000000000000000\n"));
  CHECK_FALSE(parse_status("SigPnd:\t0\nShdPnd:\t0\nSigBlk:\tx\nSigIgn:\t0\nSigCgt:\t0\n"));
  CHECK_FALSE(parse_status("SigPnd:\t0\nShdPnd:\t0\nSigBlk:\t\nSigIgn:\t0\nSigCgt:\t0\n"));
  CHECK(parse_status("SigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0"));
}

TEST_CASE("a signal mask holds the signals 1 to 64 and no others", "[procfs]") {
  SignalMask all(~0ULL), none, sigterm(1ULL << (SIGTERM - 1));
  CHECK(all.contains(1));
  CHECK(all.contains(64));
  for (int signal : {-1, 0, 65, 128, 1 << 20})
    CHECK_FALSE(all.contains(signal));
  CHECK(none.empty());
  CHECK_FALSE(none.contains(SIGTERM));
  CHECK(sigterm.contains(SIGTERM));
  CHECK_FALSE(sigterm.contains(SIGKILL));
  CHECK(sigterm.hex() == "0000000000004000");
}

TEST_CASE("a blocked thread's system call comes with its six arguments", "[procfs]") {
  auto call = parse_syscall(syscall_of_reader);
  REQUIRE(call);
  CHECK_FALSE(call->running);
  CHECK(call->number == 0);
  CHECK(call->arguments == std::array<std::uint64_t, 6>{3, 0x7f2bcf21bda0, 1, 0x7f2bcf1d7720, 0, 0});
}

TEST_CASE("a thread on a CPU is running, and one that waits outside of any call has number -1", "[procfs]") {
  auto running = parse_syscall("running\n");
  REQUIRE(running);
  CHECK(running->running);
  auto elsewhere = parse_syscall(syscall_of_zombie);
  REQUIRE(elsewhere);
  CHECK_FALSE(elsewhere->running);
  CHECK(elsewhere->number == -1);
}

TEST_CASE("text that is no system call is nothing", "[procfs]") {
  for (auto text : {""sv, "walking"sv, "0 0x1 0x2"sv, "-1 0x1"sv, "0 3 0x1 0x1 0x0 0x0 0x0 0x1 0x1"sv,
                    "0 0xg 0x1 0x1 0x0 0x0 0x0 0x1 0x1"sv, "read 0x3 0x1 0x1 0x0 0x0 0x0 0x1 0x1"sv,
                    "0 0x3 0x1 0x1 0x0 0x0 0x0 0x1 0x1 0x1"sv}) {
    CAPTURE(text);
    CHECK_FALSE(parse_syscall(text));
  }
}

TEST_CASE("a system call has its name, or its number", "[procfs]") {
  CHECK(syscall_name(SYS_futex) == "futex");
  CHECK(syscall_name(100000) == "syscall 100000");
}

TEST_CASE("a list of pids is read whatever separates them", "[procfs]") {
  CHECK(parse_pid_list("").empty());
  CHECK(parse_pid_list("17 18 19 ") == std::vector<pid_t>{17, 18, 19}); // children
  CHECK(parse_pid_list("17\n0\n") == std::vector<pid_t>{17, 0});        // cgroup.procs
  CHECK(parse_pid_list("17 eighteen 19x 99999999999 20") == std::vector<pid_t>{17, 20});
}

TEST_CASE("this process can be read", "[procfs]") {
  pid_t self = ::getpid();
  auto stat = read_stat(self);
  REQUIRE(stat);
  CHECK(stat->pid == self);
  CHECK(stat->parent == ::getppid());
  CHECK(stat->session == ::getsid(0));
  CHECK(stat->threads == static_cast<long>(read_threads(self).size()));
  CHECK(read_status(self));
  CHECK(read_thread_stat(self, self));
  CHECK(read_syscall(self, self));
  CHECK_FALSE(read_command_line(self).empty());
  CHECK(read_executable(self) == std::filesystem::read_symlink("/proc/self/exe").string());
}

TEST_CASE("a pipe's ends are told apart by their open flags", "[procfs]") {
  auto pipe = open_pipe();
  auto fds = read_fds(::getpid());
  REQUIRE(fds);
  auto find = [&](const UniqueFd &fd) {
    return *std::find_if(fds->begin(), fds->end(), [&](const ProcFd &one) { return one.number == fd.get(); });
  };
  auto reads = find(pipe.read_end), writes = find(pipe.write_end);
  CHECK(reads.target.starts_with("pipe:["));
  CHECK(reads.target == writes.target);
  CHECK((reads.readable() && !reads.writable()));
  CHECK((writes.writable() && !writes.readable()));
}

TEST_CASE("a child is listed from its fork until it is reaped", "[procfs]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    auto mine = [] { return read_children(::getpid()); };
    testing::expect(mine() == std::vector<pid_t>{child.pid()}, "the living child is listed");
    child.send(SIGKILL);
    testing::wait_until_state(child, 'Z');
    testing::expect(mine() == std::vector<pid_t>{child.pid()}, "the zombie is listed");
    reap(child);
    testing::expect(mine().empty(), "the reaped child is not listed");
  });
}

TEST_CASE("a zombie has no arguments, executable or descriptors", "[procfs]") {
  testing::check_in_child([] {
    auto child = testing::plant();
    child.send(SIGKILL);
    testing::wait_until_state(child, 'Z');
    testing::expect(read_command_line(child.pid()).empty(), "no arguments");
    testing::expect(!read_executable(child.pid()), "no executable");
    testing::expect(read_fds(child.pid()).value_or(std::vector<ProcFd>{}).empty(), "no descriptors");
  });
}

TEST_CASE("of a reaped pid every reader says nothing", "[procfs]") {
  auto child = testing::start([] {});
  reap(child);
  pid_t gone = child.pid();
  CHECK_FALSE(read_stat(gone));
  CHECK_FALSE(read_thread_stat(gone, gone));
  CHECK_FALSE(read_status(gone));
  CHECK_FALSE(read_thread_status(gone, gone));
  CHECK_FALSE(read_syscall(gone, gone));
  CHECK_FALSE(read_executable(gone));
  CHECK_FALSE(read_fds(gone));
  CHECK(read_command_line(gone).empty());
  CHECK(read_threads(gone).empty());
  CHECK(read_children(gone).empty());
  CHECK(read_children(gone, gone).empty());
}

TEST_CASE("a lineage goes from a process up, and no further than asked", "[procfs]") {
  auto up = read_lineage(::getpid());
  REQUIRE(up.size() > 1);
  CHECK(up[0] == ::getpid());
  CHECK(up[1] == ::getppid());
  CHECK(read_lineage(::getpid(), ::getppid()) == std::vector<pid_t>{::getpid(), ::getppid()});
  CHECK(read_lineage(::getpid(), ::getpid()) == std::vector<pid_t>{::getpid()});
  CHECK(read_lineage(0).empty());
}

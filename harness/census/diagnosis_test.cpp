// Facts in, causes out: also where a fact is missing.
#include "harness/base/spelling.hpp"
#include "harness/census/diagnosis.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <csignal>

using namespace pidleak;
using namespace pidleak::census;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr pid_t harness = 1, owner_pid = 2;

/// As examine() would have found it. A call without a meaning to the census is one that it does not know.
RemainingProcess process(pid_t pid, const std::string &syscall, const std::string &object = "") {
  const std::map<std::string, Wait> meanings = {
      {"pause", Wait::for_signal},    {"read", Wait::to_read},   {"futex", Wait::for_lock}, {"wait4", Wait::for_child},
      {"flock", Wait::for_file_lock}, {"openat", Wait::to_open}, {"poll", Wait::with_timer}};
  auto meaning = meanings.find(syscall);
  RemainingProcess made;
  made.pid = pid;
  made.parent = owner_pid;
  made.state = ProcessState::sleeping;
  made.status.emplace();
  made.waits = {{.thread = pid,
                 .state = 'S',
                 .syscall = syscall,
                 .arguments = {},
                 .wait = meaning == meanings.end() ? Wait::unknown_call : meaning->second,
                 .object = object}};
  return made;
}

RemainingProcess reader(pid_t pid, std::vector<OpenPipe> pipes) {
  auto made = process(pid, "read", "pipe:[7]");
  made.pipes = std::move(pipes);
  return made;
}

RemainingProcess waiter(pid_t pid) {
  auto made = process(pid, "futex", "lock 00:01:9+0x0");
  made.shared_memory = {"00:01:9"};
  return made;
}

Finding main_finding(std::vector<RemainingProcess> remaining, const Knowledge &knowledge = {.harness = harness},
                     std::optional<RemainingProcess> owner = {}) {
  diagnose(remaining, owner ? &*owner : nullptr, knowledge);
  return remaining.front().diagnosis.at(0);
}

std::string main_cause(std::vector<RemainingProcess> remaining, const Knowledge &knowledge = {.harness = harness},
                       std::optional<RemainingProcess> owner = {}) {
  return spell(main_finding(std::move(remaining), knowledge, std::move(owner)).cause);
}

} // namespace

TEST_CASE("of very many holders the first are named, and the others counted", "[census]") {
  std::vector<RemainingProcess> many;
  for (pid_t pid = 10; pid < 19; ++pid)
    many.push_back(reader(pid, {{.fd = 3, .target = "pipe:[7]", .reads = true, .writes = true}}));
  CHECK_THAT(main_finding(many).text, ContainsSubstring("pid 17, pid 18"));
  for (pid_t pid = 19; pid < 100; ++pid)
    many.push_back(reader(pid, {{.fd = 3, .target = "pipe:[7]", .reads = true, .writes = true}}));
  CHECK_THAT(main_finding(many).text, ContainsSubstring("open in: itself, 89 others"));
  many.insert(many.begin(), reader(9, {{.fd = 3, .target = "pipe:[7]", .reads = true, .writes = false}}));
  CHECK_THAT(main_finding(many).text, ContainsSubstring("pid 17, 82 others"));
}

TEST_CASE("a pipe is held open by those that can write to it, and by an unknown process if they are not there",
          "[census]") {
  const OpenPipe reads{.fd = 4, .target = "pipe:[7]", .reads = true, .writes = false};
  const OpenPipe writes{.fd = 5, .target = "pipe:[7]", .reads = false, .writes = true};
  auto held = main_finding({reader(3, {reads, writes}), process(4, "pause")});
  CHECK(held.cause == Cause::pipe_held_open);
  CHECK_THAT(held.text, ContainsSubstring("write end is open in: itself"));
  auto outside = main_finding({reader(3, {reads})});
  CHECK(outside.cause == Cause::waits_for_peer);
  CHECK_THAT(outside.text, ContainsSubstring("held outside"));
}

TEST_CASE("a possible holder of a lock is named, and a holder is called dead only if no process may hold the lock",
          "[census]") {
  auto holder = process(4, "pause");
  holder.shared_memory = {"00:01:9"};
  auto held = main_finding({waiter(3), holder, waiter(5)});
  CHECK(held.cause == Cause::waits_for_lock);
  CHECK_THAT(held.text, ContainsSubstring("may be held by pid 4, which waits in pause"));
  CHECK(main_cause({waiter(3), waiter(5)}) == "lock-of-the-dead");

  auto owner = process(owner_pid, "read", "pipe:[1]"); // it has made the lock: it may hold it, for all that is known
  owner.shared_memory = {"00:01:9"};
  CHECK(main_cause({waiter(3), waiter(5)}, {.harness = harness}, owner) == "waits-for-lock");
  CHECK(main_cause({waiter(3), waiter(5)}, {.harness = harness, .died_with_lock = 6}, owner) == "lock-of-the-dead");
}

TEST_CASE("SIGTERM is a cause only if it is known to have been sent", "[census]") {
  auto caught = process(3, "pause");
  caught.status->caught = os::SignalMask(1ULL << (SIGTERM - 1));
  CHECK(main_cause({caught}) == "waits-for-signal");
  CHECK(main_cause({caught}, {.harness = harness, .sent_sigterm = {3}}) == "sigterm-caught");
  auto inherited = main_finding(
      {caught}, {.harness = harness, .sent_sigterm = {3}, .caught_from_the_start = {3}, .inherit_handlers = true});
  CHECK_THAT(inherited.text, ContainsSubstring("inherited from the pool's owner"));

  auto blocked = process(3, "pause"); // a pending signal proves that it was sent
  blocked.status->blocked = blocked.status->shared_pending = os::SignalMask(1ULL << (SIGTERM - 1));
  CHECK(main_cause({blocked}) == "sigterm-blocked");
  auto ignored = process(3, "pause");
  ignored.status->ignored = os::SignalMask(1ULL << (SIGTERM - 1));
  CHECK(main_cause({ignored}, {.harness = harness, .sent_sigterm = {3}}) == "sigterm-ignored");
  auto dies = process(3, "pause"); // the default: it has not got round to it
  CHECK(main_cause({dies}, {.harness = harness, .sent_sigterm = {3}}) == "waits-for-signal");
}

TEST_CASE("a zombie's parent is told, and whether it waits", "[census]") {
  RemainingProcess zombie;
  zombie.pid = 3;
  zombie.parent = owner_pid;
  zombie.state = ProcessState::zombie;
  auto idle =
      main_finding({zombie}, {.harness = harness, .ends = {{3, "killed by SIGKILL"}}}, process(owner_pid, "read"));
  CHECK(idle.cause == Cause::not_reaped);
  CHECK_THAT(idle.text, ContainsSubstring("killed by SIGKILL"));
  CHECK_THAT(idle.text, ContainsSubstring("no thread of that parent waits for a child"));
  auto waits = main_finding({zombie}, {.harness = harness}, process(owner_pid, "wait4", "pid 4"));
  CHECK_THAT(waits.text, ContainsSubstring("waits for another child"));
}

TEST_CASE("a lock on a file is held by those that have it, themselves included", "[census]") {
  auto waits = process(3, "flock", "flock /tmp/a"), holds = process(4, "pause"), has_another = process(5, "pause");
  holds.comm = "agent";
  holds.attributes.emplace().locks = {"flock /tmp/a"};
  has_another.attributes.emplace().locks = {"flock /tmp/b", "fcntl /tmp/a"};
  CHECK(main_finding({waits, holds, has_another}).text ==
        "it waits in flock for the lock on /tmp/a; it is held by: pid 4 (agent)");
  CHECK_THAT(main_finding({waits, has_another}).text, ContainsSubstring("no process that remains holds it"));
  waits.attributes.emplace().locks = {"flock /tmp/a"};
  CHECK_THAT(main_finding({waits}).text, ContainsSubstring("held by: itself"));
}

TEST_CASE("a unix socket is held open by those that have its other end", "[census]") {
  auto reads = process(3, "read", "socket:[1]"), has_peer = process(4, "pause"), has_another = process(5, "pause");
  reads.waits[0].peer = "socket:[2]";
  reads.held = {"socket:[1]"};
  has_peer.held = {"socket:[2]"};
  has_another.held = {"socket:[1]", "socket:[3]"};
  auto held = main_finding({reads, has_peer, has_another});
  CHECK(held.cause == Cause::pipe_held_open);
  CHECK_THAT(held.text, ContainsSubstring("whose other end is open in: pid 4"));
  CHECK(main_cause({reads, has_another}) == "waits-for-peer");
}

TEST_CASE("what open(2) waits for is told as far as its path says", "[census]") {
  auto text = [](const std::string &object) { return main_finding({process(3, "openat", object)}).text; };
  CHECK_THAT(text("FIFO /tmp/f"), ContainsSubstring("to open the other end of FIFO /tmp/f"));
  CHECK_THAT(text("/tmp/f (deleted)"), ContainsSubstring("no process can"));
  CHECK(text("/dev/ttyS0") == "it waits in openat for /dev/ttyS0");
  CHECK_THAT(text(""), ContainsSubstring("as for the other end of a FIFO"));
}

TEST_CASE("a process that polls is told with how often, and one that rarely wakes is not", "[census]") {
  auto polls = process(3, "poll");
  CHECK(main_finding({polls}).text == "it waits in poll, with a timer");
  polls.waits_per_second = 100;
  CHECK(main_finding({polls}).text == "it waits in poll, with a timer; it polls, some 100 times a second");
  polls.waits_per_second = 10;
  CHECK(main_finding({polls}).text == "it waits in poll, with a timer");
}

TEST_CASE("what can't be known is said to be unknown", "[census]") {
  CHECK(main_cause({process(3, "")}) == "unknown");
  CHECK(main_cause({process(3, "none")}) == "unknown");
  CHECK(main_cause({process(3, "syscall 999")}) == "unknown");
  auto nothing = process(3, "");
  nothing.waits.clear();
  nothing.status.reset();
  CHECK(main_cause({nothing}) == "unknown");
}

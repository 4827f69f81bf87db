// What accumulates while a service runs is told then, and not only when it has ended.
#include "harness/census/walk.hpp"
#include "harness/guard/guard_test_support.hpp"
#include "harness/os/namespaces.hpp"

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// A service that does one thing every 10 ms, at most 600 times, and ends when there is a file `stop`.
const std::string service_program = R"(
import os, signal, sys, time
kind, stop = sys.argv[1:]
def stay():
    while True: signal.pause()
def child(body):
    pid = os.fork()
    if pid == 0:
        body()
        os._exit(0)
    return pid
def daemon(): child(lambda: (os.setsid(), stay()))
pool = [child(stay) for _ in range(8)] if kind in ('pool', 'recycles') else []
print('filled', flush=True)
for i in range(600):
    if kind == 'leaks': child(stay)
    if kind == 'zombies': child(lambda: None)
    if kind == 'daemons': os.waitpid(child(daemon), 0)
    if kind == 'churns': os.waitpid(child(lambda: time.sleep(0.005)), 0)
    if kind == 'recycles':
        pool.append(child(stay))
        os.kill(pool[0], signal.SIGKILL)
        os.waitpid(pool.pop(0), 0)
    if kind == 'recovers':
        if os.path.exists(stop + '-growing'):
            for pid in pool:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            pool = []
        else: pool.append(child(stay))
    if i == 30: print('thirty', flush=True)
    if os.path.exists(stop): break
    time.sleep(0.01)
while not os.path.exists(stop): time.sleep(0.01)
for pid in pool:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
)";

std::vector<std::string> serve(const Scratch &scratch, const std::string &kind, std::vector<std::string> options) {
  options.insert(options.end(), {"--grace", "0.1", "--report", scratch / "report.json"});
  return guarded(options, {python(), "-c", service_program, kind, scratch / "stop"});
}

const std::vector<std::string> watched = {"--watch", "--every", "0.005"};

/// The oldest of guard's children; the others are daemons that it has adopted.
pid_t service_of(const os::ProcessRef &guard) {
  auto children = census::walk_once({.root = guard.pid()});
  std::erase_if(children, [&](const auto &member) { return member.parent != guard.pid(); });
  expect(!children.empty(), "the service runs");
  auto older = [](const auto &a, const auto &b) { return a.start_ticks < b.start_ticks; };
  return std::min_element(children.begin(), children.end(), older)->pid;
}

/// It sleeps between two samples, and between what its processes do.
std::uint64_t sleeps_of(const os::ProcessRef &guard) {
  auto status = os::read_status(guard.pid());
  return status ? status->voluntary_switches : 0;
}

/// Lets it run until it is told to accumulate: with its starter, its oldest and a report that is there already.
void check_grows(const std::string &kind, int zombies_of_64) {
  Scratch scratch;
  Running running(serve(scratch, kind, watched));
  running.wait_for("accumulate: from ");
  running.wait_for("oldest    pid ");
  if (is_told_of_tasks()) // the service, whose line has made a daemon that has no parent any more
    running.wait_for(fmt::format("created by: {} -c ", python()));
  auto starter = service_of(running.guard());
  expect(running.text().find(fmt::format(", started by pid {} (", starter)) != std::string::npos,
         "it names the starter");
  wait_until([&] { return std::filesystem::exists(scratch / "report.json"); }, "the report is there while it runs");
  auto early = scratch.report();
  expect_equal(early.at("verdict").get<std::string>(), "leaked", "early verdict");
  expect(early.at("remaining").empty(), "nothing remains as yet");
  scratch.write("stop", "");
  expect_equal(running.finish(), 23, "status; " + running.text());
  auto report = scratch.report();
  auto growth = report.at("growth");
  expect_equal(growth.at("groups").size(), 1U, "groups");
  auto group = growth.at("groups").at(0);
  expect_equal(group.at("starter").at("pid").get<pid_t>(), starter, "starter");
  expect(group.at("now").get<int>() > group.at("from").get<int>(), "it grows");
  expect(group.at("zombies").get<int>() * 64 >= zombies_of_64 * (group.at("now").get<int>() - 1), "zombies");
  expect(!group.at("oldest").at("diagnosis").empty(), "why the oldest is there");
  expect(report.at("reason").get<std::string>().find("accumulated while it ran") != std::string::npos, "reason");
}

void check_does_not_grow(const std::string &kind) {
  Scratch scratch;
  Running running(serve(scratch, kind, watched));
  // To be filled for as long as 64 looks is to grow, and on a busy machine that may be: guard does not look meanwhile.
  wait_until([&] { return !os::read_children(running.guard().pid()).empty(); }, "the service is there");
  running.guard().send(SIGSTOP);
  running.wait_for("filled");
  running.guard().send(SIGCONT);
  running.wait_for("thirty");
  auto from = sleeps_of(running.guard());
  wait_until([&] { return sleeps_of(running.guard()) >= from + 1500; }, "it has looked at it for a while");
  scratch.write("stop", "");
  expect_equal(running.finish(), 0, "status; " + running.text());
  expect(running.text().find("while it runs") == std::string::npos, "nothing is told: " + running.text());
  expect(running.text().find("nothing accumulates") != std::string::npos, "but that: " + running.text());
  auto growth = scratch.report().at("growth");
  expect(growth.at("looks").get<int>() > 64, "it has looked at it often enough");
  expect(growth.at("groups").empty(), "nothing accumulates");
}

void check_recovers() {
  Scratch scratch;
  Running running(serve(scratch, "recovers", watched));
  running.wait_for("accumulate: from ");
  scratch.write("stop-growing", "");
  wait_until([&] { return os::read_children(service_of(running.guard())).empty(); }, "its children have ended");
  auto from = sleeps_of(running.guard());
  wait_until([&] { return sleeps_of(running.guard()) >= from + 1000; }, "it has looked at it for a while");
  scratch.write("stop", "");
  expect_equal(running.finish(), 0, "status; " + running.text());
  expect(running.text().find("nothing accumulates") != std::string::npos, "nothing does any more: " + running.text());
  expect(running.text().find("accumulated earlier, and does no more: ") != std::string::npos,
         "what was told is taken up: " + running.text());
}

} // namespace

TEST_CASE("workers that accumulate are told while the service runs", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] { check_grows("leaks", 0); });
}

TEST_CASE("zombies that accumulate are told as well, although none is left at the end", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] { check_grows("zombies", 64); });
}

TEST_CASE("daemons that accumulate are those of the service, although guard has adopted them", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] { check_grows("daemons", 0); });
}

TEST_CASE("what accumulated and then ended is told to have done so", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] { check_recovers(); });
}

TEST_CASE("a pool that is full, one that replaces its workers, and short-lived processes do not accumulate",
          "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  for (const char *kind : {"pool", "recycles", "churns"}) {
    INFO(kind);
    check_in_child([&] { check_does_not_grow(kind); });
  }
}

TEST_CASE("without --watch guard takes no samples, and reports nothing", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    Running running(serve(scratch, "zombies", {}));
    running.wait_for("thirty");
    wait_until([&] { return os::read_children(service_of(running.guard())).size() > 100; }, "they accumulate");
    scratch.write("stop", "");
    expect_equal(running.finish(), 0, "status");
    expect_equal(running.text(), "filled\nthirty\n", "what it says");
    expect(scratch.report().at("growth").is_null(), "no sample was taken");
  });
}

TEST_CASE("a group is told once, and again when it has doubled", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    Running running(serve(scratch, "leaks", watched));
    running.wait_for("while it runs");
    auto service = service_of(running.guard());
    wait_until([&] { return os::read_children(service).size() > 150; }, "many accumulate");
    scratch.write("stop", "");
    running.finish();
    int told = 0;
    for (auto at = running.text().find("while it runs"); at != std::string::npos;
         at = running.text().find("while it runs", at + 1))
      ++told;
    expect(told >= 2 && told <= 8, fmt::format("{} times", told));
  });
}

TEST_CASE("what a rule allows may accumulate", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    scratch.write("rules.json", R"({"suppressions": [{"kind": "zombie", "reason": "it reaps them at the end"}]})");
    auto options = watched;
    options.insert(options.end(), {"--suppressions", scratch / "rules.json"});
    Running running(serve(scratch, "zombies", options));
    running.wait_for("thirty");
    auto service = service_of(running.guard());
    wait_until([&] { return os::read_children(service).size() > 200; }, "they accumulate");
    scratch.write("stop", "");
    expect_equal(running.finish(), 0, "status; " + running.text());
    expect(running.text().find("while it runs") == std::string::npos, "it was not told while it ran");
    auto report = scratch.report();
    expect_equal(report.at("verdict").get<std::string>(), "clean", "verdict");
    expect_equal(report.at("growth").at("groups").size(), 1U, "groups");
  });
}

TEST_CASE("the command's own failure is guard's status although something accumulates, and signals reach it",
          "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  check_in_child([] {
    Scratch scratch;
    Running running(serve(scratch, "leaks", watched));
    running.wait_for("while it runs");
    running.guard().send(SIGTERM);
    expect_equal(running.finish(), 128 + SIGTERM, "status");
    expect_equal(scratch.report().at("growth").at("groups").size(), 1U, "groups");
  });
}

TEST_CASE("growth is found in a PID namespace as well", "[guard]") {
  if (python().empty())
    SKIP("this machine has no python3");
  if (auto why = os::why_no_namespace(os::NamespaceKind::privileged); !why.empty())
    SKIP(why);
  check_in_child([] {
    Scratch scratch;
    auto options = watched;
    options.insert(options.end(), {"--tier", "namespace"});
    Running running(serve(scratch, "leaks", options));
    running.wait_for("while it runs");
    scratch.write("stop", "");
    expect_equal(running.finish(), 23, "status");
  });
}

TEST_CASE("a time between two samples without --watch gives status 2", "[guard]") {
  CHECK(guard({"--every", "1"}, {"/bin/true"}).status == 2);
  CHECK(guard({"--watch", "--every", "0"}, {"/bin/true"}).status == 2);
}

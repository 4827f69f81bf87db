// Pools with one planted bad point each: a sweep finds it at its points and at no other, finds nothing in the same pool
// mended, and nothing is found without a fault.
//
// PIDLEAK_REPETITIONS: how often each pool is swept, by default once, and a sample of the mended one; ci/sweep planted
// does it twenty times.
#include "harness/cli/cli_test_support.hpp"
#include "reports/temporary_directory.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include <cstdlib>
#include <set>

using namespace pidleak::testing;
using namespace pidleak;

namespace {

/// From one point to another in the order in which the process comes to them, both included; or one point.
struct Span {
  std::string first, last;
  Span(const char *one) : first(one), last(one) {} // NOLINT(google-explicit-constructor): read as a list of points
  Span(const char *from, const char *to) : first(from), last(to) {}
};

struct Planted {
  std::string name, role, fault;
  std::vector<Span> points;     // without their role
  std::string verdict = "hung"; // empty: that differs
  std::string steps = {};       // of which points are tried; empty: all
  int workers = 2;
};

/// What `pidleak sweep` finds with these options, each point tried once.
nlohmann::json sweep(const std::vector<std::string> &options, const std::vector<std::string> &command = {}) {
  TemporaryDirectory directory;
  auto path = directory / "sweep.json";
  std::vector<std::string> arguments = {"sweep", "--repeat", "1", "--report", path};
  arguments.insert(arguments.end(), options.begin(), options.end());
  if (!command.empty())
    arguments.emplace_back("--");
  arguments.insert(arguments.end(), command.begin(), command.end());
  auto ran = run(arguments);
  INFO(ran.out << ran.err);
  REQUIRE(ran.status <= 1);
  return nlohmann::json::parse(os::read_file(path))["sweeps"][0];
}

nlohmann::json sweep(const Planted &planted, const std::string &pool, const std::string &sample = "") {
  std::vector<std::string> options = {
      "--pool", pool, "--role", planted.role, "--fault", planted.fault, "--workers", std::to_string(planted.workers),
      "--jobs", "2"};
  if (!planted.steps.empty())
    options.insert(options.end(), {"--steps", planted.steps});
  if (!sample.empty())
    options.insert(options.end(), {"--sample", sample});
  return sweep(options);
}

std::set<std::string> failing(const nlohmann::json &sweep) {
  std::set<std::string> found;
  for (const auto &one : sweep["classes"])
    for (const auto &point : one["points"])
      found.insert(point["point"].get<std::string>());
  return found;
}

int free_port() {
  auto fd = os::UniqueFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr *>(&address), size) == 0);
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

/// The planned points within the spans.
std::set<std::string> expected(const Planted &planted, const nlohmann::json &sweep) {
  std::set<std::string> points;
  for (const auto &span : planted.points) {
    bool within = false, ended = false;
    for (const auto &planned : sweep["points"]) {
      auto point = planned["point"].get<std::string>();
      within = within || point == planted.role + ":" + span.first;
      if (within && !ended)
        points.insert(point);
      ended = ended || point == planted.role + ":" + span.last;
    }
    INFO(span.first << " .. " << span.last);
    CHECK(within);
    CHECK(ended);
  }
  return points;
}

void check(const Planted &planted) {
  auto pool = fmt::format("exec:{}/pidleak-planted-pool {}", PIDLEAK_BINARY_DIR, planted.name);
  const char *wanted = std::getenv("PIDLEAK_REPETITIONS");
  for (int left = wanted ? std::atoi(wanted) : 1; left > 0; --left) {
    auto swept = sweep(planted, pool);
    CHECK(swept["coverage"]["unreached"] == 0);
    for (const auto &one : swept["classes"])
      if (!planted.verdict.empty())
        CHECK(one["verdict"] == planted.verdict);
    CHECK(failing(swept) == expected(planted, swept));
    auto mended = sweep(planted, pool + " --mended", wanted ? "" : "25");
    CHECK(mended["classes"].empty());
    CHECK(mended["coverage"]["unreached"] == 0);
  }
  auto without_fault = run({"run", "lifetime", "--pool", pool, "--workers", std::to_string(planted.workers)});
  INFO(without_fault.out << without_fault.err);
  CHECK(without_fault.status == 0);
}

TEST_CASE("planted: the owner holds both ends of a pipe from which it reads a header, and then the rest", "[sweep]") {
  check({.name = "header-in-two-writes",
         .role = "worker",
         .fault = "kill",
         .points = {{"do-tasks:write#1:exit", "do-tasks:write#2:entry"},
                    {"do-tasks:write#4:exit", "do-tasks:write#5:entry"},
                    {"do-tasks:write#7:exit", "do-tasks:write#8:entry"},
                    {"do-tasks:write#10:exit", "do-tasks:write#11:entry"}}});
}

TEST_CASE("planted: SIGTERM comes between fork() and the note of the child's pid", "[sweep]") {
  check({.name = "forked-before-noted",
         .role = "owner",
         .fault = "term",
         .points = {"create-pool:clone#1:exit", "create-pool:clone#2:exit"},
         .verdict = "leaked",
         .steps = "create-pool"});
}

TEST_CASE("planted: a handler of SIGTERM forks", "[sweep]") {
  // From the call that registers the handler, before whose end no signal is delivered, to the one that takes it back.
  check({.name = "handler-that-forks",
         .role = "worker",
         .fault = "term",
         .points = {{"do-tasks:rt_sigaction#1:entry", "do-tasks:write#1:exit"},
                    {"do-tasks:rt_sigaction#3:entry", "do-tasks:write#3:exit"},
                    {"do-tasks:rt_sigaction#5:entry", "do-tasks:munmap#1:exit"}, // a result larger than a pipe
                    {"do-tasks:rt_sigaction#7:entry", "do-tasks:write#7:exit"}},
         .verdict = ""}); // within the large result the owner waits for the rest of it
}

TEST_CASE("planted: a lock that is held around one call", "[sweep]") {
  check({.name = "lock-around-one-call",
         .role = "worker",
         .fault = "kill",
         .points = {{"do-tasks:write#2:entry", "do-tasks:write#2:exit"},
                    {"do-tasks:write#5:entry", "do-tasks:write#5:exit"},
                    {"do-tasks:write#8:entry", "do-tasks:write#8:exit"},
                    {"do-tasks:write#11:entry", "do-tasks:write#11:exit"}}});
}

TEST_CASE("planted: no clean-up where the second worker can't be started", "[sweep]") {
  check({.name = "skips-its-cleanup",
         .role = "owner",
         .fault = "errno",
         .points = {"create-pool:pipe2#3:entry", "create-pool:pipe2#4:entry", "create-pool:clone#2:entry",
                    "create-pool:pidfd_open#2:entry"},
         .verdict = "leaked"});
}

TEST_CASE("planted: a worker whose pidfd can't be opened is forgotten", "[sweep]") {
  check({.name = "loses-what-it-cannot-hold",
         .role = "owner",
         .fault = "errno",
         .points = {"create-pool:pidfd_open#1:entry", "create-pool:pidfd_open#2:entry"},
         .verdict = "leaked"});
}

TEST_CASE("planted: a worker that was not forked is waited for", "[sweep]") {
  check({.name = "counts-what-was-not-forked",
         .role = "owner",
         .fault = "errno",
         .points = {"create-pool:clone#1:entry", "create-pool:clone#2:entry"}});
}

TEST_CASE("planted: a worker that dies before its first task is not reaped", "[sweep]") {
  check({.name = "does-not-reap-the-new",
         .role = "worker",
         .fault = "kill",
         .points = {{"create-pool:fork#1", "create-pool:read#1:entry"}},
         .verdict = "leaked"});
}

TEST_CASE("planted: a worker's last byte is awaited from a pipe that stays open", "[sweep]") {
  check({.name = "waits-for-farewell",
         .role = "worker",
         .fault = "kill",
         .points = {{"do-tasks:read#7:exit", "shut-down:write#1:entry"}}});
}

TEST_CASE("planted: a worker's first byte is awaited from a pipe that stays open", "[sweep]") {
  check({.name = "waits-for-ready",
         .role = "worker",
         .fault = "kill",
         .points = {{"create-pool:fork#1", "create-pool:write#1:entry"}}});
}

TEST_CASE("planted: a worker's helper waits for a word that only the living say", "[sweep]") {
  check({.name = "helper-of-a-task",
         .role = "worker",
         .fault = "kill",
         .points = {{"occupy-workers:clone#1:exit", "do-tasks:write#1:entry"},
                    {"do-tasks:clone#1:exit", "do-tasks:write#4:entry"},
                    {"do-tasks:clone#2:exit", "do-tasks:write#7:entry"},
                    {"do-tasks:clone#3:exit", "do-tasks:write#10:entry"},
                    {"do-tasks:clone#4:exit", "do-tasks:write#13:entry"},
                    {"do-tasks:clone#5:exit", "do-tasks:write#16:entry"}},
         .verdict = "leaked",
         .workers = 1});
}

TEST_CASE("planted: the owner dies before it has told its tracker of a worker", "[sweep]") {
  check({.name = "tells-its-tracker-late",
         .role = "owner",
         .fault = "kill",
         .points = {{"create-pool:clone#2:exit", "create-pool:write#1:entry"},
                    {"create-pool:clone#3:exit", "create-pool:write#2:entry"}},
         .verdict = "leaked",
         .steps = "create-pool"});
}

TEST_CASE("planted: a pre-fork server has workers before it handles SIGTERM", "[sweep]") {
  auto port = std::to_string(free_port());
  auto sweep_server = [&](const std::vector<std::string> &command) {
    return sweep({"--fault", "term", "--until-port", port}, command);
  };
  Planted planted{.name = "", .role = "command", .fault = "term", .points = {{"run:clone#1:exit", "run:clone#2:exit"}}};
  std::string server = PIDLEAK_BINARY_DIR "/pidleak-planted-server";
  auto bad = sweep_server({server, port});
  CHECK(failing(bad) == expected(planted, bad));
  auto mended = sweep_server({server, port, "--mended"});
  CHECK(failing(mended).empty());
  CHECK(mended["coverage"]["unreached"] == 0);
}

} // namespace

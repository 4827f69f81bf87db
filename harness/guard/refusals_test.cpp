// Whatever the kernel refuses guard, a process that the command leaves is ended and said, a clean command is called
// clean, and others are left alone; or guard says that it can't. Each call that guard makes is refused: once, at each
// of its instances, and always. ci/refusals tries all; the tests, of each call its first two instances and the last.
#include "harness/guard/refusal_trial.hpp"
#include "harness/os/test_support.hpp"

#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>
#include <set>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

const std::vector<Guarding> guardings = {
    {.name = "keeper, clean", .options = {}},
    {.name = "keeper, leak", .options = {}, .leaks = true},
    {.name = "looker, leak", .options = {}, .leaks = true, .child = 2},
    {.name = "--grace, clean", .options = {"--grace", "0.2"}, .programs = 2},
    {.name = "--grace, leak", .options = {"--grace", "0.2"}, .leaks = true, .programs = 2},
    {.name = "--watch, leak", .options = {"--watch", "--every", "0.05"}, .leaks = true, .programs = 2},
    {.name = "namespace, leak", .options = {"--tier", "namespace"}, .leaks = true, .programs = 2},
    {.name = "namespace's init, leak", .options = {"--tier", "namespace"}, .leaks = true, .child = 1},
};

const Guarding &guarding_called(const std::string &name) {
  return *std::find_if(guardings.begin(), guardings.end(), [&](const auto &each) { return each.name == name; });
}

struct Case {
  const Guarding *guarding;
  Refusal refusal;
};

struct CameOf {
  Came came = Came::hung;
  std::string said;
  double seconds = 0;
};

/// Most of a trial's time is a grace: they can be more than the processors.
constexpr std::size_t at_once = 10;

/// Several trials at once, each a process that leads a session: guard's group is that of its trial.
class Trials {
public:
  explicit Trials(std::deque<Case> cases) : cases_(std::move(cases)) {}

  void run(const std::function<void(const Case &, const CameOf &)> &tell) {
    while (!cases_.empty() || !running_.empty()) {
      while (!cases_.empty() && running_.size() < at_once)
        start_next();
      std::vector<int> ends;
      for (const auto &running : running_)
        ends.push_back(running.process.pidfd());
      os::wait_for_any_exit(ends, std::chrono::seconds(1));
      std::erase_if(running_, [&](Running &running) {
        auto status = os::try_reap(running.process);
        if (status) {
          auto came_of = read(running, *status);
          came_of.seconds = milliseconds_between(running.since, Clock::now()) / 1000;
          tell(running.tried, came_of);
        }
        return status.has_value();
      });
    }
  }

private:
  struct Running {
    Case tried;
    os::ProcessRef process;
    os::Pipe result;
    Clock::time_point since = Clock::now();
  };

  void start_next() {
    auto tried = cases_.front();
    cases_.pop_front();
    auto result = os::open_pipe();
    auto process = testing::start([&] {
      os::die_with_parent();
      ::setsid();
      os::become_subreaper();
      auto trial = try_guard(*tried.guarding, tried.refusal);
      os::write_all(result.write_end.get(),
                    static_cast<char>('0' + static_cast<int>(trial.came)) + trial.said.substr(0, 4000));
    });
    result.write_end.reset();
    running_.push_back({.tried = tried, .process = std::move(process), .result = std::move(result)});
  }

  /// A trial that says nothing was ended by what it tried.
  static CameOf read(Running &running, const os::WaitStatus &status) {
    char text[4096];
    ssize_t got = ::read(running.result.read_end.get(), text, sizeof text);
    if (got <= 0)
      return {.came = Came::stranger_signalled, .said = "the trial was " + status.text()};
    return {.came = static_cast<Came>(text[0] - '0'), .said = {text + 1, static_cast<std::size_t>(got) - 1}};
  }

  std::deque<Case> cases_;
  std::vector<Running> running_;
};

std::string errno_name(int error) { return os::describe_errno(error).substr(0, os::describe_errno(error).find(' ')); }

/// What came of how many, and what was bad.
class Table {
public:
  explicit Table(bool tells_at_once) : tells_at_once_(tells_at_once) {}
  void add(const Case &tried, const CameOf &came_of, std::size_t of) {
    if (tells_at_once_ && (tried_ + 1) % 100 == 0)
      std::fprintf(stderr, "%zu of %zu tried\n", tried_ + 1, of);
    const auto &refusal = tried.refusal;
    auto how = !refusal.for_ever ? "once" : refusal.from_main_on ? "always from main on" : "always";
    auto row = fmt::format("| {} | {} | {} | {} |", tried.guarding->name, call_name(refusal.call),
                           errno_name(refusal.error), how);
    ++rows_[row][came_of.came];
    ++tried_;
    not_reached_ += came_of.came == Came::not_reached;
    if (came_of.seconds > slowest_s_) {
      slowest_s_ = came_of.seconds;
      slowest_ = row;
    }
    if (is_bad(came_of.came))
      bad_.push_back(fmt::format("{} instance {}: {}: {}", row, refusal.first, word_of(came_of.came), came_of.said));
    if (is_bad(came_of.came) && tells_at_once_)
      std::fprintf(stderr, "%s\n", bad_.back().c_str());
  }
  void write(const std::string &path) const {
    std::ofstream file(path);
    file << "# What comes of refused system calls\n\nMade by ci/refusals.\n\n| run | call | errno | refused | came | "
            "\n|---|---|---|---|---|\n";
    for (const auto &[row, all] : rows_) {
      std::string came;
      for (const auto &[each, count] : all)
        came += fmt::format("{}{} {}", came.empty() ? "" : ", ", count, word_of(each));
      file << row << ' ' << came << " |\n";
    }
    file << fmt::format("\n{} tried. The slowest took {:.1f} s: {}\n", tried_, slowest_s_, slowest_);
    for (const auto &each : bad_)
      file << "\nBAD " << each << '\n';
  }
  /// Fails if any was bad, or if what was tried is less than there is.
  void judge(std::size_t least) const {
    std::string all;
    for (const auto &each : bad_)
      all += "\n" + each;
    expect(bad_.empty(), all);
    expect(tried_ >= least, "all was tried");
    // How often guard looks depends on the moment, but not by that much.
    expect(not_reached_ <= tried_ / 3,
           fmt::format("calls were refused: {} of {} were not reached", not_reached_, tried_));
  }

private:
  std::map<std::string, std::map<Came, int>> rows_;
  std::vector<std::string> bad_;
  bool tells_at_once_;
  std::size_t tried_ = 0, not_reached_ = 0;
  double slowest_s_ = 0;
  std::string slowest_;
};

/// What a run without refusals calls, and how often; and how often from main on.
struct Calls {
  std::map<long, int> all, from_main_on;
};

Calls calls_of(const Guarding &guarding) {
  Calls calls;
  auto trial = try_guard(guarding, {});
  expect(trial.came == Came::right, guarding.name + " without a refusal: " + trial.said);
  for (const auto &call : trial.seen.calls) {
    ++calls.all[call.call];
    if (!call.before_main)
      ++calls.from_main_on[call.call];
  }
  return calls;
}

/// EPERM and ENOSYS as of a filter; and what a shortage says, or a signal that comes in between.
std::vector<int> errors_of(long call, bool all) {
  static const std::map<long, std::vector<int>> further = {
      {SYS_openat, {EMFILE, ENOMEM}}, {SYS_pidfd_open, {EMFILE, ENOMEM}},
      {SYS_signalfd4, {EMFILE}},      {SYS_socketpair, {EMFILE}},
      {SYS_mmap, {ENOMEM}},           {SYS_brk, {ENOMEM}},
      {SYS_clone, {EAGAIN, ENOMEM}},  {SYS_read, {EINTR, ENOMEM}},
      {SYS_waitid, {EINTR}},          {SYS_recvfrom, {EINTR}},
      {SYS_sendto, {EINTR}},          {SYS_ppoll, {EINTR, ENOMEM}}};
  std::vector<int> errors = {EPERM, ENOSYS};
  if (auto found = further.find(call); all && found != further.end())
    errors.insert(errors.end(), found->second.begin(), found->second.end());
  return errors;
}

void add_cases(std::deque<Case> &cases, const Guarding &guarding, bool all) {
  auto calls = calls_of(guarding);
  std::size_t turn = 0;
  for (auto [call, count] : calls.all) {
    if (call == SYS_execve && guarding.child == 0 && guarding.programs == 1)
      continue;
    auto errors = errors_of(call, all);
    std::set<int> instances = {1, std::min(2, count), count};
    for (int instance = 1; all && instance <= count; ++instance)
      instances.insert(instance);
    for (int instance : instances)
      for (std::size_t i = 0; i < (all ? errors.size() : 1); ++i)
        cases.push_back({&guarding, {.call = call, .error = errors[turn++ % errors.size()], .first = instance}});
    for (std::size_t i = 0; i < (all ? errors.size() : 1); ++i) {
      cases.push_back({&guarding, {.call = call, .error = errors[turn++ % errors.size()], .for_ever = true}});
      if (calls.from_main_on.contains(call))
        cases.push_back(
            {&guarding,
             {.call = call, .error = errors[turn++ % errors.size()], .for_ever = true, .from_main_on = true}});
    }
  }
}

/// The result is a file beside the test's program.
void sweep(const std::vector<std::string> &names, bool all, const std::string &file) {
  std::deque<Case> cases;
  for (const auto &name : names)
    add_cases(cases, guarding_called(name), all);
  auto least = cases.size();
  Table table(all || std::getenv("PIDLEAK_REFUSE_ONLY"));
  Trials(std::move(cases)).run([&](const Case &tried, const CameOf &came_of) { table.add(tried, came_of, least); });
  table.write(PIDLEAK_BINARY_DIR "/../" + file);
  table.judge(least);
}

/// Those whose names contain what the environment says, or all.
std::vector<std::string> chosen() {
  const char *part = std::getenv("PIDLEAK_REFUSE_ONLY");
  std::vector<std::string> names;
  for (const auto &guarding : guardings)
    if (guarding.name.find(part ? part : "") != std::string::npos)
      names.push_back(guarding.name);
  return names;
}

void check_sample(const std::vector<std::string> &names, const std::string &file) {
  if (!can_refuse)
    SKIP("calls are refused on x86-64 alone");
  CHECK(run_in_child([&] { sweep(names, false, file); }, std::chrono::seconds(110)) == "");
}

/// What comes of a shell in guard's place.
Came came_of(const std::string &script, bool leaks, const Refusal &refusal = {}) {
  Guarding guarding{.name = script, .leaks = leaks, .instead = {"/bin/sh", "-c", script}};
  return try_guard(guarding, refusal, milliseconds(script.starts_with("sleep") ? 300 : 20000)).came;
}

void expect_came(const std::string &script, bool leaks, Came wanted, const Refusal &refusal = {}) {
  expect_equal(word_of(came_of(script, leaks, refusal)), word_of(wanted), script);
}

std::size_t reads_of_dd(int count) {
  Guarding guarding{.instead = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=" + std::to_string(count)}};
  auto calls = try_guard(guarding, {}).seen.calls;
  return static_cast<std::size_t>(
      std::count_if(calls.begin(), calls.end(), [](const auto &call) { return call.call == SYS_read; }));
}

} // namespace

TEST_CASE("the trial of a refusal sees each thing that guard must not do", "[refusals]") {
  if (!can_refuse)
    SKIP("calls are refused on x86-64 alone");
  check_in_child([] {
    const std::string leaves = "sleep 600 >/dev/null 2>&1 & ";
    const std::string shoots =
        "for p in $(cat /proc/$PPID/task/$PPID/children); do [ $p = $$ ] || kill -TERM $p; done; ";
    expect_came("exit 3", false, Came::right);
    expect_came("echo it outlived; exit 23", true, Came::right);
    expect_came("echo it fails; exit 5", true, Came::refused);
    expect_came("exit 0", true, Came::clean_although_left);
    expect_came(leaves + "echo it outlived; exit 23", true, Came::left_running);
    expect_came(shoots + "exit 3", false, Came::stranger_signalled);
    expect_came("sleep 600", false, Came::hung);
    expect_came("exit 23", false, Came::wrong_status);
    expect_came("exit 23", true, Came::said_nothing);
    expect_came("exit 5", false, Came::said_nothing);
    expect_came("echo it outlived; exit 3", false, Came::false_alarm);
    expect_came("exit 3", false, Came::not_reached, {.call = SYS_getppid, .first = 1000});
  });
}

TEST_CASE("calls are counted as they are made, and refused when they are to be", "[refusals]") {
  if (!can_refuse)
    SKIP("calls are refused on x86-64 alone");
  check_in_child([] {
    expect_equal(reads_of_dd(17), reads_of_dd(7) + 10, "number of calls of read(2)");
    Guarding dd{.instead = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1"}};
    auto refused = try_guard(dd, {.call = SYS_read, .error = EXDEV, .for_ever = true, .from_main_on = true});
    expect(refused.said.find("Invalid cross-device link") != refused.said.npos, "dd says it: " + refused.said);
  });
}

TEST_CASE("a refused call: guard without options", "[refusals]") {
  check_sample({"keeper, clean", "keeper, leak"}, "refusals-keeper.md");
}

TEST_CASE("a refused call: the looker that guard without options starts", "[refusals]") {
  check_sample({"looker, leak"}, "refusals-looker.md");
}

TEST_CASE("a refused call: guard with options", "[refusals]") {
  check_sample({"--grace, clean", "--grace, leak"}, "refusals-options.md");
}

TEST_CASE("a refused call: a sample of those that are chosen", "[.sample]") {
  CHECK(run_in_child([] { sweep(chosen(), false, "refusals-sample.md"); }, std::chrono::hours(1)) == "");
}

TEST_CASE("a refused call: all", "[.all]") {
  CHECK(run_in_child([] { sweep(chosen(), true, "refusals.md"); }, std::chrono::hours(3)) == "");
}

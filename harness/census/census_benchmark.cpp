// What a census costs beside psutil and ps, by the number of descendants and of processes that have nothing to do with
// them: `census/DESCENDANTS/UNRELATED`, `psutil/...` and `ps/...` look at the same processes; `namespace/...` at as
// many in a PID namespace, as replays do. For ci/benchmark.
//
// What counts is CPU time: none of them waits for anything, and so the ratios hold on a busy machine too.
//
//   benchmark ──fork──▶ leader, whose descendants are looked for ──fork──▶ 5 to 1,000 that only wait
//       │    └──fork──▶ leader of the unrelated ones ──fork──▶ up to 5,000 that only wait
//       └──exec──▶ python, with psutil
#include "harness/census/walk.hpp"
#include "harness/os/ending.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/namespaces.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/os/syscall_error.hpp"

#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>

using namespace pidleak;

namespace {

constexpr timespec longest_run{.tv_sec = 15 * 60, .tv_nsec = 0};

/// A process with so many children, all of which only wait. The kernel ends each with its parent, so that whatever ends
/// this program, none outlives it.
class Crowd {
public:
  explicit Crowd(long size) : size_(size) {
    auto ready = os::open_pipe();
    pid_t self = ::getpid();
    pid_t pid = ::fork();
    if (pid < 0)
      os::throw_errno("fork()");
    if (pid == 0)
      lead(self, size, ready.write_end.get());
    leader_ = std::move(os::ProcessRef::open(pid).value()); // own and unreaped: it is there
    ready.write_end.reset();
    char byte = 0;
    if (!os::read_exactly(ready.read_end.get(), &byte, 1)) {
      os::reap(leader_);
      throw std::runtime_error(fmt::format("this machine does not allow {} more processes", size));
    }
  }
  Crowd(const Crowd &) = delete;
  Crowd &operator=(const Crowd &) = delete;
  ~Crowd() {
    leader_.send(SIGTERM);
    os::reap(leader_);
  }

  long size() const { return size_; }
  pid_t leader() const { return leader_.pid(); }

private:
  static void end_with(pid_t parent) {
    os::die_with_parent();
    if (::getppid() != parent)
      ::_exit(1);
  }

  [[noreturn]] static void lead(pid_t parent, long size, int ready) {
    end_with(parent);
    sigset_t term;
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    bool all = fork_children(size);
    if (all) {
      os::write_all(ready, ".");
      ::sigtimedwait(&term, nullptr, &longest_run);
    }
    os::end_all_children(Deadline::after(std::chrono::seconds(60)));
    ::_exit(all ? 0 : 1);
  }

  static bool fork_children(long size) {
    pid_t self = ::getpid();
    for (long i = 0; i < size; ++i) {
      pid_t pid = ::fork();
      if (pid < 0)
        return false;
      if (pid == 0) {
        end_with(self);
        ::close_range(0, ~0U, 0); // Linux 5.9; the benchmark does not wait for them to close a pipe
        for (;;)
          ::pause();
      }
    }
    return true;
  }

  long size_;
  os::ProcessRef leader_;
};

/// psutil in a python that has imported it, and says what it took by itself.
class Psutil {
public:
  struct Answer {
    long found = 0;
    double seconds = 0;
  };

  Psutil()
      : python_(os::launch({.program = PIDLEAK_PYTHON,
                            .arguments = {"-c", script},
                            .standard_input = questions_.read_end.get(),
                            .standard_output = answers_.write_end.get(),
                            .standard_error = -1})) {
    questions_.read_end.reset();
    answers_.write_end.reset();
  }
  Psutil(const Psutil &) = delete;
  Psutil &operator=(const Psutil &) = delete;
  ~Psutil() {
    python_.send(SIGKILL);
    os::reap(python_);
  }

  /// Nothing if there is no psutil.
  std::optional<Answer> descendants_of(pid_t root) {
    if (!os::write_all(questions_.write_end.get(), fmt::format("{}\n", root)))
      return {};
    Answer answer;
    return os::read_exactly(answers_.read_end.get(), &answer, sizeof answer) ? std::optional(answer) : std::nullopt;
  }

private:
  static constexpr auto script = R"(
import psutil, struct, sys, time
for root in sys.stdin:
    start = time.process_time()
    found = len(psutil.Process(int(root)).children(recursive=True))
    sys.stdout.buffer.write(struct.pack("ld", found, time.process_time() - start))
    sys.stdout.buffer.flush()
)";
  os::Pipe questions_ = os::open_pipe(), answers_ = os::open_pipe();
  os::ProcessRef python_;
};

/// What is there already, or something new in its place.
const Crowd &crowd_of(std::unique_ptr<Crowd> &crowd, long size) {
  if (!crowd || crowd->size() != size) {
    crowd.reset();
    crowd = std::make_unique<Crowd>(size);
  }
  return *crowd;
}

/// The process whose descendants are looked for. Nothing else of this program is below it.
pid_t root_for(const benchmark::State &state) {
  static std::unique_ptr<Crowd> descendants, unrelated;
  crowd_of(unrelated, state.range(1));
  return crowd_of(descendants, state.range(0)).leader();
}

/// Of this process (RUSAGE_SELF), or of those that it has started and reaped (RUSAGE_CHILDREN).
double cpu_seconds(int whose) {
  rusage usage{};
  ::getrusage(whose, &usage);
  auto seconds = [](const timeval &time) { return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void census_of(benchmark::State &state) {
  census::Scope scope{.root = root_for(state)};
  for (auto _ : state) {
    double start = cpu_seconds(RUSAGE_SELF);
    auto walk = census::walk(scope, Deadline::after(milliseconds(1000)));
    state.SetIterationTime(cpu_seconds(RUSAGE_SELF) - start);
    if (!walk.complete || static_cast<long>(walk.members.size()) != state.range(0))
      return state.SkipWithError("the census is not complete");
  }
}

constexpr std::size_t censuses_of_namespace = 20;

/// In the init of a PID namespace with so many descendants: what each of some censuses takes, in seconds. Throws.
std::vector<double> take_censuses(long descendants) {
  os::die_with_parent();
  os::mount_private_filesystems();
  Crowd crowd(descendants - 1);
  std::vector<double> seconds(censuses_of_namespace);
  for (auto &one : seconds) {
    double start = cpu_seconds(RUSAGE_SELF);
    auto walk = census::walk({.root = 1, .proc_lists_all = true}, Deadline::after(milliseconds(1000)));
    one = cpu_seconds(RUSAGE_SELF) - start;
    if (!walk.complete || static_cast<long>(walk.members.size()) != descendants)
      throw std::runtime_error("the census is not complete");
  }
  return seconds;
}

/// Forks; the child ends with `body`, whatever comes of that: destructors and the rest of this program are not its own.
pid_t start(const std::function<void()> &body) {
  pid_t pid = ::fork();
  if (pid < 0)
    os::throw_errno("fork()");
  if (pid > 0)
    return pid;
  try {
    body();
  } catch (const std::exception &e) {
    std::fprintf(stderr, "census_benchmark: %s\n", e.what());
  }
  ::_exit(0);
}

/// None: there is no PID namespace to be had, or the census failed.
std::vector<double> censuses_in_namespace(long descendants) {
  auto result = os::open_pipe();
  pid_t outside = start([&] {
    os::die_with_parent();
    os::unshare_for_init(os::namespace_kind_of_user());
    pid_t init = start([&] {
      auto seconds = take_censuses(descendants);
      os::write_all(result.write_end.get(),
                    {reinterpret_cast<const char *>(seconds.data()), seconds.size() * sizeof seconds[0]});
    });
    ::waitpid(init, nullptr, 0);
  });
  result.write_end.reset();
  std::vector<double> seconds(censuses_of_namespace);
  bool all = os::read_exactly(result.read_end.get(), reinterpret_cast<char *>(seconds.data()),
                              seconds.size() * sizeof seconds[0]);
  ::waitpid(outside, nullptr, 0);
  return all ? seconds : std::vector<double>();
}

void census_of_namespace(benchmark::State &state) {
  auto seconds = censuses_in_namespace(state.range(0));
  auto next = seconds.begin();
  for (auto _ : state) {
    if (next == seconds.end())
      return state.SkipWithError("the census is not complete, or there is no PID namespace to be had");
    state.SetIterationTime(*next++);
  }
}

void psutil_of(benchmark::State &state) {
  static Psutil psutil;
  pid_t root = root_for(state);
  for (auto _ : state) {
    auto answer = psutil.descendants_of(root);
    if (!answer || answer->found != state.range(0))
      return state.SkipWithError(answer ? "psutil has not found all" : "there is no psutil");
    state.SetIterationTime(answer->seconds);
  }
}

/// The whole command, since that is what people run; who descends from whom is still to be worked out after it.
void ps_of(benchmark::State &state) {
  auto ps = os::find_on_path("ps");
  root_for(state);
  for (auto _ : state) {
    double start = cpu_seconds(RUSAGE_CHILDREN);
    if (ps.empty() || os::reap(os::launch({.program = ps, .arguments = {"-eo", "pid,ppid"}})) != os::WaitStatus{})
      return state.SkipWithError("there is no ps");
    state.SetIterationTime(cpu_seconds(RUSAGE_CHILDREN) - start);
  }
}

void with_processes(benchmark::internal::Benchmark *what) {
  what->ArgsProduct({{5, 100, 1000}, {0, 100, 5000}})->Unit(benchmark::kMicrosecond)->MinTime(0.05)->UseManualTime();
}

BENCHMARK(census_of)->Name("census")->Apply(with_processes);
BENCHMARK(census_of_namespace)
    ->Name("namespace")
    ->ArgsProduct({{5, 100, 1000}, {0}})
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(censuses_of_namespace)
    ->UseManualTime();
BENCHMARK(psutil_of)->Name("psutil")->Apply(with_processes);
BENCHMARK(ps_of)->Name("ps")->Apply(with_processes);

} // namespace

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  ::signal(SIGPIPE, SIG_IGN); // a python that has ended
  try {
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "census_benchmark: %s\n", e.what());
    return 1;
  }
}
